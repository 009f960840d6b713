"""What the gateway keeps. `owner` is the subject of the principal that made it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from services.gateway.domain.ingest import Photo
from services.gateway.domain.metadata import MetadataKind


class RoomState(StrEnum):
    UPLOADED = "UPLOADED"
    READY = "READY"
    NEEDS_REFINEMENT = "NEEDS_REFINEMENT"


# Verbs of operations that remove data. They are not cancelled: what they began must come to its end, and to its receipt.
ERASURES = frozenset({"delete", "anonymize", "purge"})


class OperationState(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class Room:
    """removed: what its file carried besides the picture; None for rooms from before that was told."""

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
    removed: tuple[MetadataKind, ...] | None = None
    update_time: datetime | None = None
    delete_time: datetime | None = None
    purge_time: datetime | None = None
    revision: int = 1

    @property
    def name(self) -> str:
        return f"rooms/{self.room_id}"

    @property
    def etag(self) -> str:
        return _etag(self.name, self.revision)


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
    delete_time: datetime | None = None  # hidden since, on the wish of who has no interest in it any more


@dataclass(frozen=True)
class Spooled:
    """What came of an upload: its SHA-256 in lower-case hexadecimal, and its size."""

    digest: str
    size_bytes: int


@dataclass(frozen=True)
class PhotoFiles:
    """A normalized photo in files: what `Photo` has as bytes lies there, and `told` is the rest."""

    told: Photo
    photo: Path
    working: Path | None


@dataclass(frozen=True)
class Description:
    """fallback_reason: why it was not the provider that wrote; empty where it did, or none is configured."""

    description: str
    technical_summary: str
    provider: str
    fallback_reason: str
    create_time: datetime


@dataclass(frozen=True)
class Visualization:
    """A picture that was made. message is the serialized proto as it was then; what may change since stands beside it."""

    visualization_id: str
    tenant: str
    owner: str
    message: bytes
    image_key: str
    room: str
    create_time: datetime
    display_name: str = ""
    favorite: bool = False
    save_time: datetime | None = None
    update_time: datetime | None = None
    delete_time: datetime | None = None
    purge_time: datetime | None = None
    revision: int = 1

    @property
    def name(self) -> str:
        return f"visualizations/{self.visualization_id}"

    @property
    def etag(self) -> str:
        return _etag(self.name, self.revision)


@dataclass(frozen=True)
class Upload:
    """A file that comes in pieces. parts are the keys of what has arrived, in order; room its name once it is whole."""

    upload_id: str
    tenant: str
    owner: str
    display_name: str
    size_bytes: int
    content_digest: str
    create_time: datetime
    expire_time: datetime
    received_bytes: int = 0
    parts: tuple[str, ...] = ()
    room: str = ""

    @property
    def name(self) -> str:
        return f"uploads/{self.upload_id}"


@dataclass(frozen=True)
class Share:
    share_id: str
    tenant: str
    visualization_id: str
    owner: str
    create_time: datetime
    expire_time: datetime
    revoke_time: datetime | None = None

    @property
    def name(self) -> str:
        return f"visualizations/{self.visualization_id}/shares/{self.share_id}"


def _etag(name: str, revision: int) -> str:
    return hashlib.sha256(f"{name}@{revision}".encode()).hexdigest()[:16]


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
