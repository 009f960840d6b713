"""Remove somebody's data, or what is due, from everywhere: the steps of `jobs.gateway.erase`.

Each step may be done again. What goes is noted, by digest, before it goes: whoever is killed in between goes on, and the
receipt has all of it.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from google.protobuf import any_pb2
from google.protobuf.message import Message

from roomviz.errors import FailedPrecondition, Unavailable
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.personal.v1 import personal_pb2
from roomviz.runtime.bus import Bus
from roomviz.runtime.metrics import PURGED
from roomviz.runtime.objects import Objects, Stored
from roomviz.runtime.personal import found_under, mentions, tell_purged
from roomviz.runtime.rpc import invoke_for_stream
from roomviz.v1 import privacy_pb2
from services.gateway.adapters.privacy import Erasure, PostgresErasures
from services.gateway.domain import receipt
from services.gateway.domain.receipt import ErasedObject, Signer

log = structlog.get_logger()

ROUNDS_MAX = 3
_NOTED_AT_ONCE = 500
Progress = Callable[[str, int], Awaitable[None]]
Store = Callable[[Any], Awaitable[None]]


def no_key() -> FailedPrecondition:
    return FailedPrecondition("SIGNING_OFF", "no key to sign receipts with is set up here (ROOMVIZ_RECEIPT_KEY_FILE)")


@dataclass(frozen=True)
class Erase:
    """keepers: the PersonalDataService of each service that keeps something of rooms, those that work on them first."""

    erasures: PostgresErasures
    objects: Objects
    keepers: Mapping[str, Any]
    bus: Bus
    signer: Signer | None

    async def __call__(
        self, operation_id: str, tenant: str, kind: str, subject: str, progress: Progress
    ) -> tuple[Message, Store]:
        """kind is DELETE, ANONYMIZE or PURGE; with an empty subject, what is due of the tenant's."""
        anonym = f"anonymous/{secrets.token_hex(15)}" if kind == "ANONYMIZE" else ""
        begun = await self.erasures.begin(operation_id, tenant, kind, subject, anonym)
        await progress("collect", 10)
        await self._services(begun, progress)
        await progress("objects", 60)
        await self._own_objects(begun)
        await progress("messages", 80)
        rooms = [r.removeprefix("rooms/") for r in begun.scope.rooms]
        await self.bus.erase(mentions([*rooms, *begun.scope.operations]))
        await tell_purged(self.bus, rooms)
        removed, objects = await self.erasures.noted(operation_id)
        response = any_pb2.Any()
        if kind == "PURGE":
            response.Pack(privacy_pb2.PurgeRoomsResponse(rooms_count=len(rooms), objects_count=len(objects)))
        else:
            signed = self._signed(begun, removed, objects)
            response.Pack(
                privacy_pb2.DeletePersonalDataResponse(receipt=signed)
                if kind == "DELETE"
                else privacy_pb2.AnonymizeSubjectResponse(receipt=signed)
            )
        log.info("purged", kind=kind, rooms=len(rooms), objects=len(objects))

        async def store(connection: Any) -> None:
            await self.erasures.end(connection, operation_id, response.SerializeToString())
            PURGED.labels(kind.lower()).inc(len(rooms))

        return jobs_pb2.Erased(), store

    def _signed(
        self, begun: Erasure, removed: Mapping[str, int], objects: Iterable[ErasedObject]
    ) -> privacy_pb2.DeletionReceipt:
        if self.signer is None:
            raise no_key()
        document = receipt.document(
            begun.kind,
            f"operations/{begun.operation_id}",
            begun.scope.tenant,
            begun.pseudonym,
            begun.create_time,
            datetime.now(UTC),
            removed,
            begun.kept,
            objects,
        )
        r = self.signer.sign(document)
        return privacy_pb2.DeletionReceipt(document=r.document, signature=r.signature, public_key=r.public_key)

    async def _services(self, begun: Erasure, progress: Progress) -> None:
        """Have the services remove their part, until they find nothing: work that was under way may have ended late."""
        for round_ in range(ROUNDS_MAX):
            found = 0
            for keeper in self.keepers.values():
                found += await self._noted(begun.operation_id, self._collected(keeper, begun))
            if not found and round_:  # once in any case: what is in hand must be told
                return
            await progress("purge", 30 + 10 * round_)
            for keeper in self.keepers.values():
                await self._noted(begun.operation_id, self._purged(keeper, begun))
        raise Unavailable("PURGE_UNFINISHED", "something is still being written about what is being purged")

    async def _noted(self, operation_id: str, found: AsyncIterator[personal_pb2.Row | Stored]) -> int:
        """Note rows and objects as they come; how many there were."""
        rows, objects, count = Counter[str](), list[Stored](), 0
        async for one in found:
            count += 1
            if isinstance(one, Stored):
                objects.append(one)
            else:
                rows[one.table] += 1
            if len(objects) == _NOTED_AT_ONCE:
                await self.erasures.note(operation_id, {}, objects)
                objects = []
        await self.erasures.note(operation_id, rows, objects)
        return count

    async def _collected(self, keeper: Any, begun: Erasure) -> AsyncIterator[personal_pb2.Row | Stored]:
        request = personal_pb2.CollectPersonalDataRequest(scope=scope_to_proto(begun))
        async for answer in invoke_for_stream(keeper.CollectPersonalData, request):
            yield answer.row if answer.HasField("row") else stored(answer.object)

    async def _purged(self, keeper: Any, begun: Erasure) -> AsyncIterator[personal_pb2.Row | Stored]:
        request = personal_pb2.PurgePersonalDataRequest(scope=scope_to_proto(begun))
        async for answer in invoke_for_stream(keeper.PurgePersonalData, request):
            yield stored(answer.object)

    async def _own_objects(self, begun: Erasure) -> None:
        found = [o async for o in found_under(self.objects, begun.prefixes)]
        await self.erasures.note(begun.operation_id, {}, found)
        for o in found:
            await self.objects.remove(o.key)


def scope_to_proto(begun: Erasure) -> personal_pb2.Scope:
    return personal_pb2.Scope(rooms=begun.scope.rooms, operations=begun.scope.operations)


def stored(p: personal_pb2.StoredObject) -> Stored:
    return Stored(p.key, p.size_bytes, p.etag)
