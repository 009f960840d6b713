"""What the gateway needs from the outside."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from google.protobuf.message import Message

from services.gateway.domain.filters import Question
from services.gateway.domain.ingest import Photo
from services.gateway.domain.records import Operation, Room, Share, Upload, Visualization


class Decoder(Protocol):
    async def take_in(self, data: bytes) -> Photo:
        """Normalize untrusted bytes where they can do no harm."""


class Fetcher(Protocol):
    async def fetch(self, url: str) -> bytes:
        """What lies at a caller's URL, if it may be asked."""


class Objects(Protocol):
    async def get(self, key: str) -> bytes: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...

    async def delete(self, key: str) -> None: ...


class Rooms(Protocol):
    async def add(self, room: Room) -> Room:
        """Keep the room, or return the one of this tenant with the same content."""

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
    ) -> Operation:
        """Keep the operation and queue its job, in one transaction.

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
