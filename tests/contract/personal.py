"""Looks for somebody's data in everything that the stack keeps, as nobody but a test may."""

import asyncio
import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import asyncpg
import nats
from minio import Minio
from minio.error import S3Error
from nats.js.errors import NotFoundError

from roomviz.runtime.bus import STREAMS
from tests.conftest import Running

# What was read before, by key and etag: most of the bucket is textures.
READ: dict[tuple[str, str], bytes] = {}
SCHEMAS = ("gateway", "segmentation", "compositor", "catalog")


@dataclass(frozen=True)
class Finding:
    """Where: `rows TABLE`, `object KEY`, `message STREAM SUBJECT`; what: which of the marks."""

    where: str
    what: str


def spellings(mark: str) -> list[bytes]:
    """A mark as it may lie there: as it is, as PostgreSQL writes bytes, in base64 at each of its three phases."""
    raw = mark.encode()
    found = [raw, raw.hex().encode()]
    for phase in range(3):
        text = base64.b64encode(b"\0" * phase + raw)
        found.append(text[(0, 2, 3)[phase] : 8 * (phase + len(raw)) // 6])  # what no neighbour has a bit in
    return found


def marks_in(data: bytes, marks: Iterable[str]) -> list[str]:
    return [m for m in marks if any(s in data for s in spellings(m))]


def store(running: Running) -> Minio:
    """As the administrator, who may look at all of it."""
    secret = (running.settings.secrets / "s3_secret_key").read_text().strip()
    return Minio(
        f"127.0.0.1:{running.settings.s3_port}",
        "roomviz",
        secret,
        secure=False,
        region="us-east-1",
    )


def everything(running: Running) -> Iterable[tuple[str, bytes]]:
    """(where, bytes) of every row, object and message."""
    yield from asyncio.run(_rows(running))
    client = store(running)
    for o in client.list_objects("roomviz", recursive=True):
        known = (o.object_name, o.etag)
        if known not in READ:
            try:
                answer = client.get_object("roomviz", o.object_name)
            except S3Error as error:
                if error.code != "NoSuchKey":
                    raise
                continue  # it went since it was listed
            READ[known] = answer.read()
            answer.close()
            answer.release_conn()
        yield f"object {o.object_name}", o.object_name.encode() + b" " + READ[known]
    yield from asyncio.run(_messages(running))


def scan(running: Running, marks: Iterable[str], skip: Callable[[str], bool] = lambda where: False) -> list[Finding]:
    marks = list(marks)
    return [
        Finding(where, what) for where, data in everything(running) if not skip(where) for what in marks_in(data, marks)
    ]


async def _rows(running: Running) -> list[tuple[str, bytes]]:
    url = f"postgresql://roomviz@{running.settings.host}:{running.settings.postgres_port}/roomviz"
    connection = await asyncpg.connect(url, passfile=str(running.settings.secrets / "pgpass"))
    found = []
    try:
        for schema in SCHEMAS:
            tables = await connection.fetch(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema
            )
            for (table,) in tables:
                # Bytes come out as hexadecimal digits, which `spellings` looks for.
                for (row,) in await connection.fetch(f'SELECT to_jsonb(t)::text FROM "{schema}"."{table}" t'):
                    found.append((f"rows {schema}.{table}", row.encode()))
    finally:
        await connection.close()
    return found


async def _messages(running: Running) -> list[tuple[str, bytes]]:
    password = (running.settings.secrets / "nats_password").read_text().strip()
    connection = await nats.connect(f"nats://127.0.0.1:{running.settings.nats_port}", user="roomviz", password=password)
    stream, found = connection.jetstream(), []
    try:
        for config in STREAMS:
            sequence = 1
            while True:
                try:
                    message = await stream.get_msg(config.name, seq=sequence, next=True, subject=">")
                except NotFoundError:
                    break
                body = (message.data or b"") + repr(message.headers).encode()
                found.append((f"message {config.name} {message.subject}", body))
                sequence = message.seq + 1
    finally:
        await connection.close()
    return found
