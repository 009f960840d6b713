"""What an administrator makes before the services start, so that no service needs an administrator's rights.

Everything here may be done again and again, over what is there already.

python -m deploy.provision    does all of it, where the settings below are in the environment; the local stack calls its parts
"""

import asyncio
import base64
import hashlib
import hmac
import io
import os
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import nats
import stamina
from minio import Minio
from minio.error import S3Error
from nats.errors import Error as NatsError
from pydantic import FilePath
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.permissions import ADMINISTRATOR, BUCKET, SERVICES
from roomviz.runtime.bus import ensure_streams, secured
from roomviz.runtime.objects import PROBE


class Settings(BaseSettings):
    """As the services' settings (roomviz/runtime/settings.py), but an administrator's."""

    model_config = SettingsConfigDict(env_prefix="ROOMVIZ_", env_ignore_empty=True, frozen=True, extra="ignore")

    postgres_dsn: str  # a superuser's, to any database, without a password
    postgres_password_file: Path
    # A folder with the passwords that the services' roles get: SERVICE/postgres_password.
    service_passwords_dir: Path
    nats_url: str
    nats_user: str = ADMINISTRATOR
    nats_password_file: Path
    nats_ca_file: FilePath | None = None
    # On how many servers each stream is kept.
    nats_replicas: int = 1
    s3_endpoint: str
    s3_access_key: str = ADMINISTRATOR
    s3_secret_key_file: Path
    s3_bucket: str = BUCKET
    s3_secure: bool = False


async def database(connection: asyncpg.Connection) -> None:
    """The database `roomviz`, over a superuser's connection to another one."""
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = 'roomviz'"):
        await connection.execute("CREATE DATABASE roomviz")


async def roles(connection: asyncpg.Connection, passwords: Mapping[str, str]) -> None:
    """A role a service, which owns the schema of its name and may do nothing else; passwords by service.

    `connection` is a superuser's, to the database `roomviz`. Schemas that belong to somebody else, as those of older
    versions do, are handed over with all that is in them.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('roomviz-provision'))")
        await connection.execute("REVOKE ALL ON DATABASE roomviz FROM PUBLIC")
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for service, password in passwords.items():
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", service):
                await connection.execute(f'CREATE ROLE "{service}"')
            await connection.execute(
                f'ALTER ROLE "{service}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'
                f" PASSWORD '{_scram_verifier(password)}'"
            )
            await connection.execute(f'GRANT CONNECT ON DATABASE roomviz TO "{service}"')
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{service}"')
            await _hand_over(connection, service)
        # Making extensions takes rights on the whole database, which the catalogue's role has not.
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA catalog")


async def _hand_over(connection: asyncpg.Connection, service: str) -> None:
    """Make the role of a service the owner of its schema and of the tables in it."""
    await connection.execute(f'ALTER SCHEMA "{service}" OWNER TO "{service}"')
    await connection.execute(f'REVOKE ALL ON SCHEMA "{service}" FROM PUBLIC')
    # Indexes and the sequences of columns follow their tables.
    tables = await connection.fetch(
        """SELECT format('%I.%I', n.nspname, c.relname) AS name
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND pg_get_userbyid(c.relowner) <> $1""",
        service,
    )
    for table in tables:
        await connection.execute(f'ALTER TABLE {table["name"]} OWNER TO "{service}"')


@stamina.retry(on=S3Error, timeout=30.0, wait_max=1.0)
def bucket(client: Minio, name: str = BUCKET) -> None:
    """The bucket, and in it the object that services look at to know whether the store works."""
    if not client.bucket_exists(name):
        client.make_bucket(name)
    client.put_object(name, PROBE, io.BytesIO(b"here\n"), 5, "text/plain")


# Servers that have just found each other may leave the first question unanswered.
@stamina.retry(on=(NatsError, OSError, TimeoutError), timeout=60.0, wait_max=1.0)
async def streams(url: str, user: str, password: str, authorities: Path | None = None, replicas: int = 1) -> None:
    """The streams of JetStream, each on so many servers; `authorities` are those of the servers, where TLS is spoken."""
    client = await nats.connect(url, user=user, password=password, connect_timeout=5, **secured(authorities))
    try:
        await ensure_streams(client.jetstream(timeout=10), replicas)
    finally:
        await client.close()


def _scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), made here so that no statement, and so no log, holds a password."""
    rounds, salt = 4096, os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_64, stored_64, server_64 = (base64.b64encode(b).decode() for b in (salt, stored, server))
    return f"SCRAM-SHA-256${rounds}:{salt_64}${stored_64}:{server_64}"


async def provision(settings: Settings) -> None:
    """All of it. The first failure ends it: whoever runs it tries again."""

    def read(file: Path) -> str:
        return file.read_text().strip()

    password = read(settings.postgres_password_file)
    connection = await asyncpg.connect(settings.postgres_dsn, password=password)
    try:
        await database(connection)
    finally:
        await connection.close()
    connection = await asyncpg.connect(settings.postgres_dsn, password=password, database="roomviz")
    try:
        folder = settings.service_passwords_dir
        await roles(connection, {name: read(folder / name / "postgres_password") for name in SERVICES})
    finally:
        await connection.close()
    store = Minio(
        settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=read(settings.s3_secret_key_file),
        secure=settings.s3_secure,
        region="us-east-1",
    )
    await asyncio.to_thread(bucket, store, settings.s3_bucket)
    await streams(
        settings.nats_url,
        settings.nats_user,
        read(settings.nats_password_file),
        settings.nats_ca_file,
        settings.nats_replicas,
    )


if __name__ == "__main__":
    asyncio.run(provision(Settings()))
