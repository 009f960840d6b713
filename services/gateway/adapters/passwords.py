"""Passwords, hashed with argon2id off the event loop."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from roomviz.errors import ResourceExhausted

# OWASP Password Storage Cheat Sheet, the first of its equal choices for argon2id. One lane: a hash keeps one core busy.
TIME_COST, MEMORY_KIB, LANES = 1, 46 << 10, 1
# How many may wait for their turn.
WAITING_MAX = 64
R = TypeVar("R")


class Argon2Passwords:
    """At most as many hashes at once as the pool has threads; beyond a queue of some, callers are told to come again."""

    def __init__(self, pool: ThreadPoolExecutor):
        self._pool, self._waiting = pool, 0
        self._hasher = PasswordHasher(TIME_COST, MEMORY_KIB, LANES)
        # Nobody's password, to be compared with where there is no account.
        self._nobody = self._hasher.hash(secrets.token_hex())

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def match(self, kept: str, password: str) -> bool:
        def compare() -> bool:
            with suppress(VerificationError, InvalidHashError):
                return self._hasher.verify(kept or self._nobody, password) and bool(kept)
            return False

        return await self._run(compare)

    def outdated(self, kept: str) -> bool:
        return self._hasher.check_needs_rehash(kept)

    async def _run(self, work: Callable[[], R]) -> R:
        if self._waiting >= WAITING_MAX:
            raise ResourceExhausted("SIGN_INS_TOO_MANY", "too many people sign in just now; try again", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


@asynccontextmanager
async def passwords(workers: int) -> AsyncIterator[Argon2Passwords]:
    with ThreadPoolExecutor(workers, "argon2") as pool:
        yield Argon2Passwords(pool)
