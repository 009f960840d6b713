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
        # By asyncpg itself, as the pool does: SQLAlchemy does not understand all that may stand in a DSN, such as sslmode.
        connect=lambda: asyncpg.connect(settings.postgres_dsn, password=settings.postgres_password),
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
