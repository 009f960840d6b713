"""Decoding of untrusted pictures in child processes."""

from dataclasses import replace
from pathlib import Path

from roomviz.runtime.admission import Turns
from roomviz.runtime.context import current
from roomviz.runtime.sandbox import Sandbox
from services.gateway.domain.ingest import Limits, Photo, take_in
from services.gateway.domain.records import PhotoFiles


class SandboxedDecoder:
    """Callers of `take_in_file` wait for one of `turns`: whoever sends slowly holds none before all has come."""

    def __init__(self, sandbox: Sandbox, limits: Limits, turns: Turns):
        self._sandbox, self._limits, self._turns = sandbox, limits, turns

    async def take_in(self, data: bytes) -> Photo:
        return await self._sandbox.run(take_in, data, self._limits)

    async def take_in_file(self, upload: Path) -> PhotoFiles:
        async with self._turns.turn(current().tenant, current().remaining_s):
            return await self._sandbox.run(_take_in_file, upload, self._limits)


def _take_in_file(upload: Path, limits: Limits) -> PhotoFiles:
    """As `take_in`, from a file to files beside it: pixels never pass through the process that asked."""
    made = take_in(upload.read_bytes(), limits)
    photo, working = upload.with_name("photo.png"), upload.with_name("working.png")
    photo.write_bytes(made.photo)
    if made.working is not None:
        working.write_bytes(made.working)
    return PhotoFiles(replace(made, photo=b"", working=None), photo, working if made.working is not None else None)
