"""A photo's way through the HTTP API, as it is kept."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """Where a session stands."""

    CREATED = "created"
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True)
class PhotoSession:
    """One photo of one caller. `error` is a serialized google.rpc.Status: why a file of a batch was not taken."""

    session_id: str
    tenant: str
    owner: str
    file_name: str
    room_id: str | None
    operation_id: str | None
    batch_id: str | None
    position: int
    error: bytes | None
    create_time: datetime

    @property
    def room(self) -> str:
        return f"rooms/{self.room_id}"


@dataclass(frozen=True)
class PhotoResult:
    """What the analysis of a photo found, before anybody corrected it: `analysis` is a serialized AnalyzeRoomResponse,
    `mask_keys` are its surfaces' masks, `picture_key` the photo with its surfaces tinted, `seconds` what it took;
    `description` and `summary` are the room in words."""

    analysis: bytes
    mask_keys: list[str]
    picture_key: str
    seconds: float
    description: str
    summary: str
