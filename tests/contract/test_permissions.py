"""What one service's credentials do not open, at the real servers."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import nats
import pytest
from minio import Minio
from minio.error import S3Error
from nats.aio.client import Client

from deploy import provision
from deploy.local.settings import ROOT
from deploy.permissions import SERVICES
from deploy.secrets import secret
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
    secrets = running.settings.secrets
    connection = await asyncpg.connect(
        f"postgresql://{role}@127.0.0.1:{running.settings.postgres_port}/roomviz",
        password=((secrets if role == "roomviz" else secrets / role) / "postgres_password").read_text().strip(),
    )
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("service", sorted(SERVICES))
async def test_a_service_reads_its_own_tables_and_nobody_elses(running: Running, service: str):
    async with database(running, service) as connection:
        await connection.fetch(f"SELECT 1 FROM {TABLES[service]} LIMIT 1")

        for other in SERVICES.keys() - {service}:
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


async def test_all_is_provided_by_one_command_again_and_again(running: Running):
    s = running.settings
    environment = {
        "ROOMVIZ_POSTGRES_DSN": f"postgresql://roomviz@127.0.0.1:{s.postgres_port}/postgres",
        "ROOMVIZ_POSTGRES_PASSWORD_FILE": s.secrets / "postgres_password",
        "ROOMVIZ_SERVICE_PASSWORDS_DIR": s.secrets,
        "ROOMVIZ_NATS_URL": f"nats://127.0.0.1:{s.nats_port}",
        "ROOMVIZ_NATS_PASSWORD_FILE": s.secrets / "nats_password",
        "ROOMVIZ_S3_ENDPOINT": f"127.0.0.1:{s.s3_port}",
        "ROOMVIZ_S3_SECRET_KEY_FILE": s.secrets / "s3_secret_key",
    }
    async with database(running, "roomviz") as superuser:
        await superuser.execute("ALTER ROLE catalog PASSWORD 'another'")

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.provision", env={k: str(v) for k, v in environment.items()}, cwd=ROOT
    )

    assert await process.wait() == 0
    async with database(running, "catalog") as service:
        assert await service.fetchval("SELECT 1")


async def test_a_schema_of_an_older_version_is_handed_over(running: Running):
    """Older versions did everything as the superuser."""
    passwords = {name: secret(running.settings.secrets, f"{name}/postgres_password") for name in SERVICES}
    async with database(running, "roomviz") as superuser, database(running, "catalog") as service:
        await superuser.execute("CREATE TABLE catalog.kept (id bigserial PRIMARY KEY, word text)")
        await superuser.execute("ALTER SCHEMA catalog OWNER TO roomviz")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("INSERT INTO catalog.kept (word) VALUES ('oak')")

        await provision.roles(superuser, passwords)

        await service.execute("INSERT INTO catalog.kept (word) VALUES ('oak')")
        await service.execute("ALTER TABLE catalog.kept ADD COLUMN more int")
        await service.execute("DROP TABLE catalog.kept")


def bucket(running: Running, service: str) -> Minio:
    """S3 as a service, or as the administrator `roomviz`."""
    secrets = running.settings.secrets
    key = ((secrets if service == "roomviz" else secrets / service) / "s3_secret_key").read_text().strip()
    address = f"127.0.0.1:{running.settings.s3_port}"
    return Minio(address, access_key=service, secret_key=key, secure=False, region="us-east-1")


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_reads_and_writes_under_its_prefixes_alone(running: Running, service: str):
    prefixes = {p for may in SERVICES.values() for p in (*may.reads, *may.writes)} | {"", "elsewhere/"}
    administrator, store = bucket(running, "roomviz"), bucket(running, service)
    for prefix in prefixes:
        administrator.put_object("roomviz", f"{prefix}permissions-test", io.BytesIO(b"oak"), 3)

    def allowed(call: Callable[[], object]) -> bool:
        try:
            call()
        except S3Error as error:
            if error.code != "AccessDenied":
                raise
            return False
        return True

    def read(prefix: str) -> Callable[[], object]:
        return lambda: store.get_object("roomviz", f"{prefix}permissions-test").close()

    def write(prefix: str) -> Callable[[], object]:
        return lambda: store.put_object("roomviz", f"{prefix}permissions-test", io.BytesIO(b"ash"), 3)

    assert {p for p in prefixes if allowed(read(p))} == set(SERVICES[service].reads)
    assert {p for p in prefixes if allowed(write(p))} == set(SERVICES[service].writes)
    listed = {p for p in prefixes if allowed(lambda p=p: list(store.list_objects("roomviz", p, recursive=True)))}
    assert listed == set(SERVICES[service].lists)
    for prefix in prefixes:
        administrator.remove_object("roomviz", f"{prefix}permissions-test")


@asynccontextmanager
async def bus(running: Running, service: str) -> AsyncIterator[tuple[Client, asyncio.Queue[str]]]:
    """NATS as a service, and what the server says against it."""
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def hear(error: Exception) -> None:
        refused.put_nowait(str(error).lower())

    client = await nats.connect(
        f"nats://127.0.0.1:{running.settings.nats_port}",
        user=service,
        password=(running.settings.secrets / service / "nats_password").read_text().strip(),
        inbox_prefix=f"_INBOX.{service}",
        error_cb=hear,
    )
    try:
        yield client, refused
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("segmentation", "jobs.segmentation.analyze"),
        ("segmentation", "jobs.compositor.export"),
        ("segmentation", "events.visualization.exported"),
        ("segmentation", "events.operation.cancelled"),
        ("segmentation", "dead.compositor.export"),
        ("segmentation", "_INBOX.gateway.answer"),
        ("compositor", "jobs.compositor.export"),
        ("compositor", "events.room.analyzed"),
        ("gateway", "events.room.analyzed"),
        ("gateway", "dead.segmentation.analyze"),
        # Reading, making, emptying and removing streams, and consumers of others.
        ("segmentation", "$JS.API.STREAM.MSG.GET.JOBS"),
        ("segmentation", "$JS.API.DIRECT.GET.JOBS"),
        ("segmentation", "$JS.API.STREAM.PURGE.JOBS"),
        ("gateway", "$JS.API.STREAM.CREATE.MORE"),
        ("gateway", "$JS.API.STREAM.UPDATE.JOBS"),
        ("gateway", "$JS.API.STREAM.DELETE.JOBS"),
        ("segmentation", "$JS.API.CONSUMER.MSG.NEXT.JOBS.compositor-export"),
        ("segmentation", "$JS.API.CONSUMER.CREATE.JOBS.segmentation-analyze.jobs.compositor.export"),
        ("segmentation", "$JS.API.CONSUMER.CREATE.JOBS"),
        ("segmentation", "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.segmentation-analyze"),
        ("segmentation", "$JS.API.CONSUMER.DELETE.JOBS.segmentation-analyze"),
        ("segmentation", "$JS.ACK.JOBS.compositor-export.1.1.1.1.1"),
    ],
)
async def test_a_service_may_not_publish_what_is_not_its_own(running: Running, service: str, subject: str):
    async with bus(running, service) as (client, refused):
        await client.publish("progress.nothing", b"")  # allowed: the first complaint is not of this one
        await client.publish(subject, b"\xff")

        complaint = await asyncio.wait_for(refused.get(), 10)

    assert complaint == f'nats: permissions violation for publish to "{subject.lower()}"'


@pytest.mark.parametrize(
    "subject", [">", "jobs.>", "jobs.segmentation.analyze", "events.>", "progress.*", "_INBOX.>", "_INBOX.gateway.>"]
)
async def test_a_service_may_not_listen_to_others(running: Running, subject: str):
    async with bus(running, "segmentation") as (client, refused):
        await client.subscribe("_INBOX.segmentation.own.>")
        await client.subscribe(subject)

        complaint = await asyncio.wait_for(refused.get(), 10)

    assert complaint == f'nats: permissions violation for subscription to "{subject.lower()}"'


async def test_a_consumer_reads_the_subject_alone_that_it_was_allowed_for(running: Running):
    request = {
        "stream_name": "JOBS",
        "config": {
            "name": "segmentation-analyze",
            "durable_name": "segmentation-analyze",
            "ack_policy": "explicit",
            "filter_subject": "jobs.compositor.export",
        },
    }
    async with bus(running, "segmentation") as (client, _):
        subject = "$JS.API.CONSUMER.CREATE.JOBS.segmentation-analyze.jobs.segmentation.analyze"
        answer = json.loads((await client.request(subject, json.dumps(request).encode(), timeout=5)).data)

    assert answer["error"]["code"] == 400
    assert "filter" in answer["error"]["description"]


@pytest.mark.parametrize("credentials", [{}, {"user": "gateway", "pass": "wrong"}, {"user": "catalog", "pass": ""}])
async def test_the_queue_takes_nobody_without_credentials(running: Running, credentials: dict[str, str]):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.settings.nats_port)

    await reader.readline()
    writer.write(b"CONNECT " + json.dumps({"verbose": False, **credentials}).encode() + b"\r\nPING\r\n")
    answer = await reader.readline()
    writer.close()

    assert b"Authorization Violation" in answer
