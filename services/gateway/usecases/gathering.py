"""Gather all that is kept of somebody into a zip: the steps of `jobs.gateway.gather`."""

import asyncio
import hashlib
import json
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2
from google.protobuf.message import Message

from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.personal.v1 import personal_pb2
from roomviz.personal import Scope
from roomviz.runtime.objects import Objects, Stored
from roomviz.runtime.personal import PostgresPersonal, found_under
from roomviz.runtime.rpc import invoke_for_stream
from roomviz.v1 import privacy_pb2
from services.gateway.adapters.privacy import Export, PostgresErasures, PostgresExports, succeed
from services.gateway.domain.personal import EXPORTS, export_key
from services.gateway.usecases.erasing import stored

Progress = Callable[[str, int], Awaitable[None]]
Store = Callable[[Any], Awaitable[None]]

README = """What this installation keeps of {subject}, as of {now}.

data/SCHEMA.TABLE.jsonl   every row, one JSON object a line; bytes are \\x and hexadecimal digits,
                          in `decoded` as JSON where they are messages
objects/...               photos, masks, pictures and what belongs to them, under the keys that they are stored under
manifest.json             each object with its length and the SHA-256 of its content and of its key; a deletion receipt
                          names objects by the SHA-256 of their keys
"""


@dataclass(frozen=True)
class Gather:
    """keepers: the PersonalDataService of each service that keeps something of rooms."""

    erasures: PostgresErasures
    tables: PostgresPersonal
    exports: PostgresExports
    objects: Objects
    keepers: Mapping[str, Any]
    kept_days: int

    async def __call__(
        self, operation_id: str, tenant: str, owner: str, subject: str, progress: Progress
    ) -> tuple[Message, Store]:
        scope, own = await self.erasures.of(tenant, subject)
        with tempfile.TemporaryDirectory(prefix="roomviz-export-") as folder:
            path = Path(folder, "export.zip")
            await self._write(path, scope, own, progress)
            await progress("store", 90)
            size, digest = await asyncio.to_thread(_measured, path)
            await self.objects.put_file(export_key(operation_id), path, "application/zip")
        expire = datetime.now(UTC) + timedelta(days=self.kept_days)
        export = Export(operation_id, tenant, owner, subject, export_key(operation_id), size, digest, expire)
        answer = privacy_pb2.ExportPersonalDataResponse(
            export=f"exports/{operation_id}", size_bytes=size, content_digest=export.content_digest
        )
        answer.expire_time.FromDatetime(expire)
        response = any_pb2.Any()
        response.Pack(answer)

        async def store(connection: Any) -> None:
            await self.exports.add(connection, export)
            await succeed(connection, operation_id, response.SerializeToString())

        return jobs_pb2.Gathered(), store

    async def discard(self, operation_id: str) -> None:
        await self.objects.remove(export_key(operation_id))

    async def _write(self, path: Path, scope: Scope, own: list[str], progress: Progress) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        found: list[Stored] = []
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("README.txt", README.format(subject=scope.subject, now=now))
            await progress("rows", 10)
            with ExitStack() as files:
                table, file = "", None
                async for one in self._all(scope, own):
                    if isinstance(one, Stored):
                        found.append(one)
                        continue
                    if one.table != table or file is None:  # rows come table after table
                        files.close()
                        table, file = one.table, files.enter_context(out.open(f"data/{one.table}.jsonl", "w"))
                    file.write(one.json.encode() + b"\n")
            manifest = []
            for n, o in enumerate(found):
                await progress("objects", 20 + 70 * n // len(found))
                manifest.append(await self._copied(out, o))
            head = {"subject": scope.subject, "tenant": scope.tenant, "create_time": now, "objects": manifest}
            out.writestr("manifest.json", json.dumps(head, indent=1))

    async def _copied(self, out: zipfile.ZipFile, o: Stored) -> dict[str, Any]:
        """Pictures are compressed already."""
        digest, size = hashlib.sha256(), 0
        entry = zipfile.ZipInfo(f"objects/{o.key}", datetime.now(UTC).timetuple()[:6])
        with out.open(entry, "w") as file:
            async for part in self.objects.parts(o.key):
                await asyncio.to_thread(file.write, part)
                digest.update(part)
                size += len(part)
        return {
            "key": o.key,
            "key_sha256": hashlib.sha256(o.key.encode()).hexdigest(),
            "size_bytes": size,
            "content_sha256": digest.hexdigest(),
        }

    async def _all(self, scope: Scope, own: list[str]) -> AsyncIterator[personal_pb2.Row | Stored]:
        async for row in self.tables.rows(scope):
            yield row
        async for o in found_under(self.objects, [p for p in own if not p.startswith(EXPORTS)]):
            yield o
        asked = personal_pb2.Scope(rooms=scope.rooms, operations=scope.operations)
        for keeper in self.keepers.values():
            request = personal_pb2.CollectPersonalDataRequest(scope=asked)
            async for answer in invoke_for_stream(keeper.CollectPersonalData, request):
                yield answer.row if answer.HasField("row") else stored(answer.object)


def _measured(path: Path) -> tuple[int, str]:
    """Length and SHA-256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
