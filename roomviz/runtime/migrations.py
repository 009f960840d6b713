"""Schema migrations: Alembic, with SQL written by hand in `services/<name>/migrations/`."""

import asyncio
import re
from pathlib import Path

import asyncpg
import stamina

from roomviz.runtime.settings import ServiceSettings

_ENVIRONMENT = Path(__file__).parent / "alembic"


def newest(versions: Path) -> str:
    """The revision that a folder of migrations leads to: its files are numbered."""
    found = re.search(r'^revision = "(.+)"$', max(versions.glob("[0-9]*.py")).read_text(), re.MULTILINE)
    assert found, f"no revision in the last file of {versions}"
    return found[1]


async def _connect(settings: ServiceSettings) -> asyncpg.Connection:
    # By asyncpg itself, as the pool does: SQLAlchemy does not understand all that may stand in a DSN, such as sslmode.
    return await asyncpg.connect(settings.postgres_dsn, password=settings.postgres_password)


async def _version(settings: ServiceSettings, schema: str) -> str | None:
    connection = await _connect(settings)
    try:
        version: str | None = await connection.fetchval(f'SELECT version_num FROM "{schema}".alembic_version')
        return version
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()


def _upgrade(settings: ServiceSettings, schema: str, versions: Path) -> None:
    # Nearly always there is nothing to do, and with SQLAlchemy behind it this is half of the time in which a service starts.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(schema=schema, connect=lambda: _connect(settings))
    command.upgrade(config, "head")


async def upgrade(settings: ServiceSettings, schema: str, versions: Path) -> None:
    """Bring `schema` to the newest version; waits for a database that is starting."""
    async for attempt in stamina.retry_context(
        on=(OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError),
        attempts=None,
        timeout=60.0,
        wait_max=1.0,
    ):
        with attempt:
            if await _version(settings, schema) != newest(versions):
                await asyncio.to_thread(_upgrade, settings, schema, versions)
