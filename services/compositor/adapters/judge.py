"""Comparing with files from outside, in a child process."""

from roomviz.runtime.sandbox import Sandbox
from services.compositor.domain.difference import Difference, difference


class SandboxedJudge:
    def __init__(self, sandbox: Sandbox):
        self._sandbox = sandbox

    async def compare(self, ours: bytes, theirs: bytes) -> Difference:
        return await self._sandbox.run(difference, ours, theirs)
