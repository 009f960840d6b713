"""Runs a service's migrations in its own schema, one process at a time. The schema itself an administrator made."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

options = context.config.attributes


def migrate(connection: Connection) -> None:
    schema = options["schema"]
    connection.execute(text(f'SET search_path TO "{schema}"'))
    connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": f"roomviz-migrate-{schema}"})
    connection.commit()
    context.configure(connection=connection, version_table_schema=schema)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


async def main() -> None:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=options["connect"])
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(main())
