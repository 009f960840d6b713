"""Decoding of untrusted pictures in child processes."""

from roomviz.runtime.sandbox import Sandbox
from services.gateway.domain.ingest import Limits, Photo, take_in


class SandboxedDecoder:
    def __init__(self, sandbox: Sandbox, limits: Limits):
        self._sandbox, self._limits = sandbox, limits

    async def take_in(self, data: bytes) -> Photo:
        return await self._sandbox.run(take_in, data, self._limits)
