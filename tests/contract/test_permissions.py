"""What one service's credentials do not open, at the real servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from deploy import provision
from deploy.local.programs import SERVICES, postgres_password
from tests.conftest import Running

# A table that each service has.
TABLES = {
    "gateway": "gateway.api_keys",
    "segmentation": "segmentation.analyses",
    "compositor": "compositor.renders",
    "catalog": "catalog.products",
}


@asynccontextmanager
async def database(running: Running, role: str) -> AsyncIterator[asyncpg.Connection]:
    """PostgreSQL as the role of a service, or as the superuser `roomviz`."""
    secrets = running.settings.home / "secrets"
    connection = await asyncpg.connect(
        f"postgresql://{role}@127.0.0.1:{running.settings.postgres_port}/roomviz",
        passfile=str((secrets if role == "roomviz" else secrets / role) / "pgpass"),
    )
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reads_its_own_tables_and_nobody_elses(running: Running, service: str):
    async with database(running, service) as connection:
        await connection.fetch(f"SELECT 1 FROM {TABLES[service]} LIMIT 1")

        for other in set(SERVICES) - {service}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"permission denied for schema {other}"):
                await connection.fetch(f"SELECT 1 FROM {TABLES[other]} LIMIT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE catalog",
        "CREATE SCHEMA more",
        "CREATE TABLE public.more (a int)",
        "CREATE TEMP TABLE more (a int)",
        "CREATE ROLE more",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
        "ALTER ROLE gateway SUPERUSER",
    ],
)
async def test_a_services_role_is_nobody_outside_its_schema(running: Running, statement: str):
    async with database(running, "gateway") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_a_schema_of_an_older_version_is_handed_over(running: Running):
    """Older versions did everything as the superuser."""
    passwords = {name: postgres_password(running.settings, name) for name in SERVICES}
    async with database(running, "roomviz") as superuser, database(running, "catalog") as service:
        await superuser.execute("CREATE TABLE catalog.kept (id bigserial PRIMARY KEY, word text)")
        await superuser.execute("ALTER SCHEMA catalog OWNER TO roomviz")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("INSERT INTO catalog.kept (word) VALUES ('oak')")

        await provision.roles(superuser, passwords)

        await service.execute("INSERT INTO catalog.kept (word) VALUES ('oak')")
        await service.execute("ALTER TABLE catalog.kept ADD COLUMN more int")
        await service.execute("DROP TABLE catalog.kept")
