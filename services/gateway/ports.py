"""What the gateway needs from the outside."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.message import Message

from roomviz.runtime.objects import Stored
from services.gateway.domain.accounts import User
from services.gateway.domain.api_keys import ApiKey
from services.gateway.domain.filters import Question
from services.gateway.domain.happenings import Event
from services.gateway.domain.ingest import Photo
from services.gateway.domain.principal import Role
from services.gateway.domain.quotas import Allowance
from services.gateway.domain.records import (
    Description,
    Operation,
    PhotoFiles,
    Room,
    Share,
    Spooled,
    Tenant,
    Upload,
    Visualization,
)
from services.gateway.domain.sessions import PhotoResult, PhotoSession


class Decoder(Protocol):
    async def take_in(self, data: bytes) -> Photo:
        """Normalize untrusted bytes where they can do no harm."""

    async def take_in_file(self, upload: Path) -> PhotoFiles:
        """As `take_in`, into files in the same folder."""


class Spool(Protocol):
    def folder(self) -> AbstractAsyncContextManager[Path]:
        """A folder for one upload, gone at the end."""

    async def write(self, path: Path, chunks: AsyncIterator[bytes], bytes_max: int) -> Spooled:
        """Keep an upload as it comes. Refused as soon as it is too long."""

    def parts(self, path: Path) -> AsyncIterator[bytes]:
        """What was kept, in chunks."""


class Fetcher(Protocol):
    async def fetch(self, url: str) -> bytes:
        """What lies at a caller's URL, if it may be asked."""


class Objects(Protocol):
    async def get(self, key: str) -> bytes: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...

    async def put_file(self, key: str, path: Path, content_type: str) -> None: ...

    async def remove(self, key: str) -> None: ...

    async def under(self, prefix: str) -> list[Stored]:
        """All objects whose keys begin so."""


class Quotas(Protocol):
    async def allowance(self, tenant: str) -> Allowance: ...

    async def used(self, tenant: str) -> tuple[int, float]:
        """(operations running, megapixels of today)"""


class NoDescription(Exception):
    """A provider has none to give. reason: PROVIDER_TIMEOUT, PROVIDER_UNAVAILABLE, PROVIDER_REFUSED,
    PROVIDER_ANSWER_INVALID or PROVIDER_PAUSED."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class DescriptionProvider(Protocol):
    @property
    def name(self) -> str:
        """Who writes, such as `gemini/MODEL`."""

    async def describe(self, facts: str, picture: bytes) -> str:
        """A room in plain words. facts: what was measured, in English; picture: a JPEG. Raises NoDescription."""


class Descriptions(Protocol):
    async def get(self, tenant: str, room_id: str, digest: str, asked: str) -> Description | None:
        """What was written for this state of a room's analysis when `asked` was the provider."""

    async def put(self, tenant: str, room_id: str, digest: str, asked: str, description: Description) -> None: ...


class Rooms(Protocol):
    async def add(self, room: Room) -> Room:
        """Keep the room and charge its megapixels, or return the one of this caller with the same content."""

    async def by_digest(self, tenant: str, owner: str, digest: str) -> Room | None: ...

    async def get(self, tenant: str, room_id: str) -> Room | None:
        """A room that is there; deleted ones are not."""

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Room], str]:
        """Rooms after a position, and the position after them; empty: the end."""

    async def locked(self, connection: Any, tenant: str, room_id: str) -> Room | None:
        """The room, deleted or not, held until the transaction of the connection ends."""

    async def rename(self, connection: Any, room: Room, display_name: str) -> Room: ...

    async def delete(self, connection: Any, room: Room, kept: timedelta) -> Room:
        """Mark the room and its visualizations as deleted."""

    async def undelete(self, connection: Any, room: Room) -> Room:
        """Bring back the room and what was deleted together with it."""


class Operations(Protocol):
    async def start(
        self,
        operation_id: str,
        tenant: str,
        owner: str,
        verb: str,
        subject: str,
        request_id: str,
        request: Message,
        job_subject: str,
        job: Message,
        deadline: datetime,
        megapixels: float = 0.0,
    ) -> Operation:
        """Keep the operation, charge its megapixels, and queue its job, in one transaction.

        The same request id gives the operation it gave before, for a day; another request under it is refused. An
        analysis of a room that is being analyzed gives the running one.
        """

    async def get(self, tenant: str, operation_id: str) -> Operation | None: ...

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Operation], str]:
        """Operations after a position, and the position after them; empty: the end."""

    async def delete(self, tenant: str, operation_id: str) -> bool:
        """Hide an operation that has ended; False where it runs."""

    async def request(self, tenant: str, operation_id: str) -> bytes:
        """What was asked for, as it was serialized; empty where there is no such operation."""

    async def last_succeeded(self, tenant: str, verb: str, subject: str) -> Operation | None: ...

    async def cancel(self, tenant: str, operation_id: str) -> None:
        """End a running operation, and tell those who may be working on it, in one transaction."""


class Visualizations(Protocol):
    async def get(self, tenant: str, visualization_id: str) -> Visualization | None:
        """Also where it was deleted."""

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Visualization], str]:
        """Visualizations after a position, and the position after them; empty: the end."""

    async def locked(self, connection: Any, seen: Visualization) -> Visualization:
        """The visualization as it is, held until the transaction of the connection ends; kept now if it was not."""

    async def mark(
        self, connection: Any, of: Visualization, display_name: str, favorite: bool, saved: bool
    ) -> Visualization: ...

    async def delete(self, connection: Any, of: Visualization, kept: timedelta | None) -> Visualization:
        """Mark it as deleted for `kept`; None: bring it back."""

    async def room_is_deleted(self, connection: Any, of: Visualization) -> bool: ...


class Uploads(Protocol):
    """An upload has one writer at a time: who wrote last, until it leaves or is silent for a while."""

    async def add(self, connection: Any, upload: Upload) -> Upload: ...

    async def get(self, tenant: str, upload_id: str) -> Upload | None: ...

    async def enter(self, upload: Upload, writer: str, offset: int) -> bool:
        """Become the writer; False where there is one, or the upload stands elsewhere than at the offset."""

    async def extend(self, upload: Upload, writer: str, key: str, size: int) -> bool:
        """Append a part; False where the writer is another now."""

    async def leave(self, upload: Upload, writer: str) -> None: ...

    async def finish(self, upload: Upload, room: str) -> None:
        """Keep what the upload became, and none of its parts."""

    async def drop(self, upload: Upload) -> None: ...

    async def expired(self) -> list[Upload]: ...


class Shares(Protocol):
    async def add(self, connection: Any, share: Share) -> Share: ...

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Share], str]: ...

    async def revoke(self, tenant: str, visualization_id: str, share_id: str) -> Share | None:
        """End a share now, if it was not ended before; None where there is none."""

    async def alive(self, share_id: str) -> Share | None:
        """A share of whatever tenant that is not over."""


class Requests(Protocol):
    """What was answered to request ids."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A connection with a transaction open."""

    async def claim(
        self, connection: Any, tenant: str, subject: str, request_id: str, rpc: str, fingerprint: str
    ) -> bytes | None:
        """Take an id inside the transaction; None, or what was answered to it before. A twin waits."""

    async def settle(self, connection: Any, tenant: str, subject: str, request_id: str, response: bytes) -> None: ...


class Users(Protocol):
    """What changes takes an etag, and gives None where the thing is not there or is not as it was under that etag; an empty
    etag fits always. So do `ApiKeys` and `Tenants`."""

    async def add(
        self, tenant: str, user_id: str, email: str, display_name: str, role: Role, password_hash: str
    ) -> User:
        """Raises AlreadyExists where the tenant has a user with this address."""

    async def get(self, tenant: str, user_id: str) -> User | None: ...

    async def by_email(self, tenant: str, email: str) -> tuple[User, str] | None:
        """The user with this address, and their password's hash."""

    async def page(self, tenant: str, after: str, size: int) -> list[User]:
        """Those whose address comes after this one, by address."""

    async def update(self, tenant: str, user_id: str, changes: Mapping[str, Any], etag: str) -> User | None: ...

    async def set_password(self, user_id: str, password_hash: str) -> None: ...

    async def delete(self, tenant: str, user_id: str, etag: str) -> bool: ...


class Sessions(Protocol):
    async def begin(self, user: User, session_id: str) -> str:
        """Begin a session; its refresh token."""

    async def renew(self, refresh_token: str) -> tuple[User, str, str] | None:
        """Use a refresh token up: whose it is, the session, the next one. None where it is worth nothing; the session of
        one that was used up before is over from here on."""

    async def end(self, tenant: str, user_id: str, only: str = "", but: str = "") -> None:
        """End all sessions of a user, or one only, or all but one."""


class Passwords(Protocol):
    async def hash(self, password: str) -> str: ...

    async def match(self, kept: str, password: str) -> bool:
        """Whether this is the password of a hash. With no hash, False, after as long as it takes with one."""

    def outdated(self, kept: str) -> bool:
        """Whether it was hashed otherwise than is done now."""


class Tokens(Protocol):
    def issue(self, user: User, session_id: str) -> tuple[str, datetime]:
        """An access token, and when it ends."""


class Tries(Protocol):
    async def take(self, account: str, address: str) -> float:
        """Count a try of an account from an address; or, before it is time for one, for how many seconds to wait."""

    async def forget(self, account: str, address: str) -> None:
        """It succeeded."""


class ApiKeys(Protocol):
    async def add(self, key: ApiKey, key_hash: bytes) -> ApiKey: ...

    async def get(self, tenant: str, key_id: str) -> ApiKey | None: ...

    async def page(self, tenant: str, after: str, size: int) -> list[ApiKey]:
        """Oldest first, those after the one with this id."""

    async def update(self, tenant: str, key_id: str, changes: Mapping[str, Any], etag: str) -> ApiKey | None: ...

    async def rotate(self, tenant: str, key_id: str, key_hash: bytes, prefix: str, overlap: timedelta) -> ApiKey | None:
        """Put another secret in the place of the one there is, which works on for a while."""

    async def revoke(self, tenant: str, key_id: str) -> ApiKey | None: ...


class Tenants(Protocol):
    async def get(self, tenant: str) -> Tenant | None: ...

    async def update(self, tenant: str, changes: Mapping[str, Any], etag: str) -> Tenant | None: ...


class PhotoSessions(Protocol):
    async def add(self, s: PhotoSession) -> None: ...

    async def put_room(self, tenant: str, session_id: str, room_id: str, file_name: str) -> None:
        """Another photo, which was not analyzed yet."""

    async def put_operation(self, tenant: str, session_id: str, operation_id: str) -> None: ...

    async def get(self, tenant: str, session_id: str) -> PhotoSession | None: ...

    async def of_batch(self, tenant: str, batch_id: str) -> list[PhotoSession]:
        """In the order of the files."""

    async def result(self, tenant: str, digest: str) -> PhotoResult | None:
        """What was found in a photo with this digest, if its room is still there."""

    async def keep_result(self, tenant: str, digest: str, room_id: str, result: PhotoResult) -> None: ...


class InWords(Protocol):
    """A room in words."""

    @property
    def description(self) -> str: ...

    @property
    def technical_summary(self) -> str: ...


class Describes(Protocol):
    async def get(self, name: str) -> InWords:
        """An analyzed room in words, by its name."""


class Visitors(Protocol):
    async def add(self, tenant: str, key: str, expire_time: datetime) -> str:
        """Make this key an anonymous shopper's, who may see only what they make."""


class Happenings(Protocol):
    async def record(self, *events: Event, connection: Any = None) -> None:
        """Keep what happened, to be sent and counted; in the transaction of `connection` where one is given."""


class Calls(Protocol):
    """The services behind the gateway."""

    @property
    def segmentation(self) -> Any: ...

    @property
    def refinements(self) -> Any: ...

    @property
    def compositor(self) -> Any: ...

    @property
    def products(self) -> Any: ...

    @property
    def catalog(self) -> Any: ...

    @property
    def models(self) -> Any: ...

    @property
    def proposals(self) -> Any: ...
