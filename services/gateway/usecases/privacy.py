"""Who may see, take along or remove what is kept of whom; and what goes by itself when its time is over."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from google.protobuf import empty_pb2

from roomviz.errors import InvalidArgument, NotFound, RoomvizError
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.personal import Scope, pseudonym
from roomviz.runtime.context import current, new_request_id
from roomviz.runtime.objects import Objects
from roomviz.runtime.personal import PostgresPersonal
from roomviz.v1 import privacy_pb2
from services.gateway.adapters.privacy import PostgresErasures, PostgresExports
from services.gateway.domain.personal import ROOMS
from services.gateway.domain.receipt import Receipt, Signer
from services.gateway.domain.records import Operation
from services.gateway.ports import Operations
from services.gateway.usecases.caller import caller
from services.gateway.usecases.erasing import no_key
from services.gateway.usecases.names import check_request_id, new_id, parse
from services.gateway.usecases.rooms import envelope

log = structlog.get_logger()

MANAGE = "privacy.manage"
DOCUMENT_BYTES_MAX = 32 << 20
_TENANTS_AT_ONCE, _EXPORTS_AT_ONCE, _PHOTOS_AT_ONCE = 20, 100, 1000


@dataclass(frozen=True)
class PrivacyCases:
    operations: Operations
    erasures: PostgresErasures
    tables: PostgresPersonal
    exports: PostgresExports
    objects: Objects
    signer: Signer | None
    limit_s: float

    async def export(self, request: privacy_pb2.ExportPersonalDataRequest) -> Operation:
        check_request_id(request.request_id)
        subject = await self._subject(request.subject)
        asked = privacy_pb2.ExportPersonalDataRequest(subject=subject, request_id=request.request_id)
        return await self._start("gather", "gather", subject, caller().subject, asked, jobs_pb2.GatherJob())

    async def download(self, name: str) -> AsyncIterator[bytes]:
        """The zip, in parts: for whom it was made, and whom it is about."""
        (export_id,) = parse(name, "exports")
        found = await self.exports.get(current().tenant, export_id)
        if found is None or not (caller().may(MANAGE) or caller().subject in (found.owner, found.subject)):
            raise NotFound("EXPORT_NOT_FOUND", f"there is no export {name}")
        async for part in self.objects.parts(found.object_key):
            yield part

    async def delete(self, request: privacy_pb2.DeletePersonalDataRequest) -> Operation:
        check_request_id(request.request_id)
        return await self._erase(await self._subject(request.subject), "delete", request.request_id)

    async def anonymize(self, request: privacy_pb2.AnonymizeSubjectRequest) -> Operation:
        check_request_id(request.request_id)
        if not request.subject:
            raise InvalidArgument("SUBJECT_INVALID", "subject is users/{user} or apiKeys/{api_key}")
        return await self._erase(await self._subject(request.subject), "anonymize", request.request_id)

    def verify(self, receipt: Receipt) -> str:
        """What speaks against a receipt; empty where nothing does."""
        if self.signer is None:
            raise no_key()
        if not receipt.document or len(receipt.document) > DOCUMENT_BYTES_MAX:
            raise InvalidArgument("RECEIPT_INVALID", "receipt.document has 1 to 33 554 432 bytes")
        return self.signer.objection(receipt)

    async def _erase(self, subject: str, action: str, request_id: str) -> Operation:
        if self.signer is None:
            raise no_key()
        tenant = current().tenant
        last = await self.erasures.last(tenant, subject)
        if last is not None and not await self._leaves(subject, anything=False):
            found = await self.operations.get(tenant, last)
            if found is not None:
                return found
        asked = (
            privacy_pb2.DeletePersonalDataRequest(subject=subject, request_id=request_id)
            if action == "delete"
            else privacy_pb2.AnonymizeSubjectRequest(subject=subject, request_id=request_id)
        )
        # What outlives the data must not be found by the subject's name, and yet by whoever has it.
        stand_in = pseudonym(tenant, subject)
        owner = stand_in if caller().subject == subject else caller().subject
        return await self._start(action, "erase", stand_in, owner, asked, jobs_pb2.EraseJob())

    async def _subject(self, asked: str) -> str:
        """Whom it is about, if the caller may ask for them and anything is known of them."""
        subject = asked or caller().subject
        known = subject == caller().subject or (
            caller().may(MANAGE)
            and (await self._leaves(subject, anything=True) or await self.erasures.last(current().tenant, subject))
        )
        if not known:
            raise NotFound("SUBJECT_NOT_FOUND", f"there is no {subject[:100]}")
        return subject

    async def _leaves(self, subject: str, anything: bool) -> bool:
        """Whether a row is kept of them; not `anything`: one that goes when they are erased."""
        async for row in self.tables.rows(Scope(current().tenant, subject)):
            if anything or not self.tables.stays(row.table):
                return True
        return False

    async def _start(self, verb: str, job_verb: str, about: str, owner: str, request: Any, job: Any) -> Operation:
        operation_id = new_id()
        carried, deadline = envelope(operation_id, self.limit_s)
        job.envelope.CopyFrom(carried)
        return await self.operations.start(
            operation_id,
            current().tenant,
            owner,
            verb,
            about,
            request.request_id,
            request,
            f"jobs.gateway.{job_verb}",
            job,
            deadline,
        )


class Retention:
    """What goes by itself: rooms that were not used for as long as their tenant keeps them, what was deleted and has
    passed its purge_time, exports, photos that never became rooms. One process at a time, a bounded part each time."""

    def __init__(
        self,
        operations: Operations,
        erasures: PostgresErasures,
        exports: PostgresExports,
        objects: Objects,
        limit_s: float,
    ):
        self.operations, self.erasures, self.exports, self.objects = operations, erasures, exports, objects
        self.limit_s = limit_s
        self._looked_at = ""  # the last key that was looked at for photos of no room

    async def sweep(self) -> None:
        async with self.erasures.alone() as alone:
            if not alone:
                return
            for tenant in await self.erasures.due(_TENANTS_AT_ONCE):
                try:
                    await self._purge(tenant)
                except RoomvizError as error:  # the others' must not wait for it
                    log.warning("purge does not begin", tenant=tenant, error=error.message)
            gone = await self.exports.expired(_EXPORTS_AT_ONCE)
            for export_id, key in gone:
                await self.objects.remove(key)
                await self.exports.remove(export_id)
            if gone:
                log.info("exports expired", count=len(gone))
            await self._orphans()

    async def _orphans(self) -> None:
        """Photos whose upload was cut off between object and row: nobody has a name for them."""
        found = await self.objects.under(ROOMS, self._looked_at, _PHOTOS_AT_ONCE)
        self._looked_at = found[-1].key if len(found) == _PHOTOS_AT_ONCE else ""
        old = datetime.now(UTC) - timedelta(days=1)
        photos = {o.key: o.key.split("/")[1] for o in found if o.write_time is not None and o.write_time < old}
        strangers = await self.erasures.strangers(set(photos.values())) if photos else set()
        for key, room_id in photos.items():
            if room_id in strangers:
                await self.objects.remove(key)
                log.info("photo of no room removed", key=key)

    async def _purge(self, tenant: str) -> None:
        operation_id, deadline = new_id(), datetime.now(UTC) + timedelta(seconds=self.limit_s)
        job = jobs_pb2.EraseJob(
            envelope=jobs_pb2.Envelope(operation=operation_id, tenant=tenant, request_id=new_request_id())
        )
        job.envelope.deadline.FromDatetime(deadline)
        await self.operations.start(
            operation_id,
            tenant,
            "",
            "purge",
            "",
            "",
            empty_pb2.Empty(),
            "jobs.gateway.erase",
            job,
            deadline,
        )
        log.info("purge begins", tenant=tenant)
