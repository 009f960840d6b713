"""Comparing with files from outside, in a child process."""

from roomviz.runtime.sandbox import Sandbox, TookTooLong
from services.compositor.domain.difference import Difference, difference


class SandboxedJudge:
    def __init__(self, sandbox: Sandbox):
        self._sandbox = sandbox

    async def compare(self, ours: bytes, theirs: bytes) -> Difference | None:
        try:
            return await self._sandbox.run(difference, ours, theirs)
        except TookTooLong:
            return None
