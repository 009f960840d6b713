"""What the gateway needs from the outside."""

from datetime import datetime
from typing import Any, Protocol

from google.protobuf.message import Message

from services.gateway.domain.ingest import Photo
from services.gateway.domain.records import Operation, Room, Visualization


class Decoder(Protocol):
    async def take_in(self, data: bytes) -> Photo:
        """Normalize untrusted bytes where they can do no harm."""


class Fetcher(Protocol):
    async def fetch(self, url: str) -> bytes:
        """What lies at a caller's URL, if it may be asked."""


class Objects(Protocol):
    async def get(self, key: str) -> bytes: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...


class Rooms(Protocol):
    async def add(self, room: Room) -> Room:
        """Keep the room, or return the one of this tenant with the same content."""

    async def by_digest(self, tenant: str, owner: str, digest: str) -> Room | None: ...

    async def get(self, tenant: str, room_id: str) -> Room | None: ...


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

        The same request id gives the operation it gave before; another request under it is refused. An
        analysis of a room that is being analyzed gives the running one.
        """

    async def get(self, tenant: str, operation_id: str) -> Operation | None: ...

    async def request(self, tenant: str, operation_id: str) -> bytes:
        """What was asked for, as it was serialized; empty where there is no such operation."""

    async def last_succeeded(self, tenant: str, verb: str, subject: str) -> Operation | None: ...

    async def cancel(self, tenant: str, operation_id: str) -> None:
        """End a running operation, and tell those who may be working on it, in one transaction."""


class Visualizations(Protocol):
    async def get(self, tenant: str, visualization_id: str) -> Visualization | None: ...


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
