"""What the gateway keeps. `owner` is the subject of the principal that made it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RoomState(StrEnum):
    UPLOADED = "UPLOADED"
    READY = "READY"
    NEEDS_REFINEMENT = "NEEDS_REFINEMENT"


class OperationState(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class Room:
    room_id: str
    tenant: str
    owner: str
    display_name: str
    content_digest: str
    width: int
    height: int
    photo_key: str
    working_key: str
    focal_35mm: float
    state: RoomState
    create_time: datetime

    @property
    def name(self) -> str:
        return f"rooms/{self.room_id}"


@dataclass(frozen=True)
class Operation:
    """A long job. response is a serialized Any and error a serialized google.rpc.Status, of what it came to."""

    operation_id: str
    tenant: str
    owner: str
    verb: str
    subject: str
    state: OperationState
    response: bytes | None
    error: bytes | None
    create_time: datetime
    end_time: datetime | None


@dataclass(frozen=True)
class Visualization:
    visualization_id: str
    tenant: str
    owner: str
    message: bytes
    image_key: str


@dataclass(frozen=True)
class Tenant:
    """A retailer. The etag changes whenever something of it does."""

    tenant: str
    display_name: str
    retention_days: int
    create_time: datetime
    update_time: datetime
    etag: str

    @property
    def name(self) -> str:
        return f"tenants/{self.tenant}"
