"""PostgreSQL: the pool, and failures in our words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import stamina

from roomviz.errors import InvalidArgument, Unavailable
from roomviz.runtime.settings import ServiceSettings

_DOWN = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    TimeoutError,
    asyncpg.TooManyConnectionsError,
)


@contextmanager
def reachable() -> Iterator[None]:
    """Inside, a database that does not answer is `Unavailable`, and text that it cannot hold `InvalidArgument`."""
    try:
        yield
    except asyncpg.CharacterNotInRepertoireError as error:
        raise InvalidArgument("TEXT_INVALID", "text must not contain NUL characters") from error
    except _DOWN as error:
        raise Unavailable("DATABASE_UNAVAILABLE", "the database does not answer; try again") from error


async def _as_it_is(connection: asyncpg.Connection) -> None:
    """No statement of ours leaves anything behind in a session (open transactions are rolled back all the same): to clean it
    each time would be as many round trips as all else."""


@asynccontextmanager
async def pool(settings: ServiceSettings, schema: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool whose connections look into `schema` alone; waits for a database that is starting."""
    async for attempt in stamina.retry_context(on=_DOWN, attempts=None, timeout=60.0, wait_max=1.0):
        with attempt:
            opened = await asyncpg.create_pool(
                settings.postgres_dsn,
                password=settings.postgres_password,
                min_size=1,
                max_size=settings.postgres_pool_size,
                command_timeout=10,
                timeout=5,
                reset=_as_it_is,
                server_settings={"search_path": schema, "application_name": f"roomviz-{schema}"},
            )
    try:
        yield opened
    finally:
        try:
            async with asyncio.timeout(5):
                await opened.close()
        except TimeoutError:
            opened.terminate()


async def probe(opened: Any) -> str:
    """The server's version."""
    return str(await opened.fetchval("SELECT current_setting('server_version')"))
