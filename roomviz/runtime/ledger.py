"""The record of a service's jobs: one row an operation, which alone says whether a job is done.

JetStream delivers at least once and accepts late acknowledgements, so two workers may believe they own
a job. Each attempt therefore carries a number, and an end is written only by the newest attempt to a job
that has not ended: the result becomes visible once.
The tables are `JOBS` and `PURGED` of `roomviz.runtime.tables`.
"""

from dataclasses import dataclass

import asyncpg

from roomviz.runtime.outbox import Outbox
from roomviz.runtime.personal import PostgresPurged

STRIKES_MAX = 5


@dataclass(frozen=True)
class Ended:
    """The job ended before; `attempt` is the one that ended it."""

    attempt: int


@dataclass(frozen=True)
class Purged:
    """What the job was about was purged: there is nothing to do any more, and nothing to tell."""


@dataclass(frozen=True)
class Attempt:
    """A new attempt. `strikes` counts those that broke or never came back, this one included: past STRIKES_MAX the
    only thing left to do is to end the job as failed."""

    number: int
    strikes: int = 1

    @property
    def exhausted(self) -> bool:
        return self.strikes > STRIKES_MAX


class Ledger:
    def __init__(self, pool: asyncpg.Pool, outbox: Outbox):
        self._pool, self._outbox, self._purged = pool, outbox, PostgresPurged(pool)

    async def purged(self, operation: str) -> bool:
        return await self._purged.has(f"operations/{operation}")

    async def begin(self, operation: str, tenant: str) -> Attempt | Ended | Purged:
        """Open the next attempt at a job, unless it has ended; then its event is sent once more."""
        if await self.purged(operation):
            return Purged()
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                """INSERT INTO jobs AS j (operation, tenant, state, attempt, strikes) VALUES ($1, $2, 'RUNNING', 1, 1)
                   ON CONFLICT (operation) DO UPDATE
                       SET attempt = j.attempt + (j.state = 'RUNNING')::int, strikes = j.strikes + (j.state = 'RUNNING')::int,
                           update_time = now()
                   RETURNING state, attempt, strikes, event_subject, event""",
                operation,
                tenant,
            )
            if row["state"] == "RUNNING":
                return Attempt(row["attempt"], row["strikes"])
            # Whoever waits may have missed the event; another id passes the de-duplication of the stream.
            again = f"{operation}-{row['attempt']}-again-{await connection.fetchval('SELECT txid_current()')}"
            await self._outbox.write(connection, row["event_subject"], again, row["event"])
        self._outbox.poke()
        return Ended(row["attempt"])

    async def forgive(self, operation: str, attempt: Attempt) -> None:
        """Take back the strike of an attempt that failed because a server was down."""
        await self._pool.execute(
            "UPDATE jobs SET strikes = strikes - 1 WHERE operation = $1 AND attempt = $2 AND state = 'RUNNING'",
            operation,
            attempt.number,
        )

    async def end(
        self, connection: asyncpg.Connection, operation: str, attempt: Attempt, state: str, subject: str, event: bytes
    ) -> bool:
        """End the job inside the caller's transaction and queue its event.

        Returns False, with nothing written, where a newer attempt has the job or it has ended: then the
        caller must roll back what it wrote.
        """
        done = await connection.fetchval(
            """UPDATE jobs SET state = $3, event_subject = $4, event = $5, update_time = now()
               WHERE operation = $1 AND attempt = $2 AND state = 'RUNNING' RETURNING true""",
            operation,
            attempt.number,
            state,
            subject,
            event,
        )
        if done:
            await self._outbox.write(connection, subject, f"{operation}-{attempt.number}", event)
        return bool(done)
