"""Schema migrations: Alembic, with SQL written by hand in `services/<name>/migrations/`."""

import asyncio
from pathlib import Path

import asyncpg
import stamina
from alembic import command
from alembic.config import Config

from roomviz.runtime.settings import ServiceSettings

_ENVIRONMENT = Path(__file__).parent / "alembic"


def _upgrade(settings: ServiceSettings, schema: str, versions: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(
        schema=schema,
        url=settings.postgres_dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
        passfile=str(settings.postgres_passfile),
    )
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
            await asyncio.to_thread(_upgrade, settings, schema, versions)
