"""Data about people in PostgreSQL, as a service's `Holdings` say; and what was purged, so that it stays so.

Work on a room may still be under way when the room is purged. Its name is gone by then; its digest stays for two days, so
that what comes late is known, and thrown away.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Protocol

import asyncpg
from google.protobuf import descriptor_pool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from nats.aio.msg import Msg

from roomviz.internal.personal.v1 import personal_pb2
from roomviz.personal import Holdings, Scope, Table, bound, digest_of
from roomviz.runtime.bus import Bus
from roomviz.runtime.database import reachable
from roomviz.runtime.objects import Objects, Stored

PURGED_KEPT_DAYS = 2
ROOMS_PURGED = "rooms.purged"
ERASE_LIMIT_S = 300.0
_ID = re.compile(r"(?=([0-9a-f]{30}))")  # also where digits stand before one


class PostgresPersonal:
    def __init__(self, pool: asyncpg.Pool, holdings: Holdings):
        self._pool, self._holdings = pool, holdings

    def stays(self, table: str) -> bool:
        """Whether rows of `SCHEMA.TABLE` stay when their subject is erased."""
        return any(t.stays for t in self._holdings.tables if f"{self._holdings.schema}.{t.name}" == table)

    async def rows(self, scope: Scope) -> AsyncIterator[personal_pb2.Row]:
        """Every row within the scope."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                for table in self._holdings.tables:
                    if not table.where:
                        continue
                    where, arguments = bound(table.where, scope)
                    columns = f"(to_jsonb(t) - ${len(arguments) + 1}::text[])::text AS row"
                    statement = f"SELECT {columns} FROM {table.name} t WHERE {where}"
                    async for found in connection.cursor(statement, *arguments, list(table.hidden), prefetch=50):
                        row = _readable(found["row"], table) if table.messages else found["row"]
                        yield personal_pb2.Row(table=f"{self._holdings.schema}.{table.name}", json=row)

    async def prefixes(self, connection: asyncpg.Connection, scope: Scope) -> list[str]:
        """Where the objects begin that belong to rows within the scope."""
        found: list[str] = []
        for table in self._holdings.tables:
            for prefix in table.prefixes:
                statement, arguments = bound(f"SELECT {prefix} AS p FROM {table.name} t WHERE {table.where}", scope)
                found += [r["p"] for r in await connection.fetch(statement, *arguments)]
        return found

    async def erase(
        self, connection: asyncpg.Connection, scope: Scope, leave: Collection[str] = ()
    ) -> dict[str, tuple[int, int]]:
        """Remove the rows within the scope, or make them tell of nobody; (removed, kept) by table. leave: tables."""
        done = {}
        for table in self._holdings.tables:
            if not table.where or table.stays or table.name in leave:
                continue
            change = bool(scope.anonym and table.anonymous)
            verb = f"UPDATE {table.name} AS t SET {table.anonymous}" if change else f"DELETE FROM {table.name} AS t"
            statement, arguments = bound(f"{verb} WHERE {table.where}", scope)
            # Longer than calls wait: a tenant's events of a year are looked through.
            count = int((await connection.execute(statement, *arguments, timeout=ERASE_LIMIT_S)).split()[-1])
            done[f"{self._holdings.schema}.{table.name}"] = (0, count) if change else (count, 0)
        return done


def _readable(row: str, table: Table) -> str:
    """The row with its protos as JSON beside their bytes, in a field of their own."""
    told = json.loads(row)
    decoded = {}
    for column, name in table.messages.items():
        data = bytes.fromhex((told.get(column) or "").removeprefix("\\x"))
        try:
            kind = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
            decoded[column] = MessageToDict(kind.FromString(data), preserving_proto_field_name=True) if data else None
        except (DecodeError, KeyError, TypeError):  # of another version: the bytes are there
            decoded[column] = None
    return json.dumps(told | {"decoded": decoded}, ensure_ascii=False)


class PostgresPurged:
    """The digests of rooms and operations that were purged lately."""

    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def add(self, scope: Scope) -> None:
        names = [*scope.rooms, *(f"operations/{o}" for o in scope.operations)]
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO purged (digest) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING",
                    sorted(digest_of(n) for n in names),
                )
                await connection.execute(
                    "DELETE FROM purged WHERE purge_time < now() - make_interval(days => $1)", PURGED_KEPT_DAYS
                )

    async def has(self, name: str) -> bool:
        """Whether `rooms/{room}` or `operations/{operation}` was purged."""
        with reachable():
            return bool(
                await self._pool.fetchval("SELECT EXISTS (SELECT FROM purged WHERE digest = $1)", digest_of(name))
            )


async def found_under(objects: Objects, prefixes: Iterable[str]) -> AsyncIterator[Stored]:
    """Every object whose key begins with one of these."""
    for prefix in prefixes:
        for found in await objects.under(prefix):
            yield found


async def removed_under(objects: Objects, prefixes: Iterable[str]) -> AsyncIterator[Stored]:
    """As `found_under`, and it is gone."""
    async for found in found_under(objects, prefixes):
        await objects.remove(found.key)
        yield found


def mentions(ids: Collection[str]) -> Callable[[str], bool]:
    """Whether a text has one of these ids (30 hexadecimal digits) in it."""
    wanted = frozenset(ids)
    return lambda text: any(m[1] in wanted for m in _ID.finditer(text))


class Forgetful(Protocol):
    """Something in memory that can drop what it has."""

    def forget(self, which: Callable[[str], bool]) -> None: ...


async def forget_purged(bus: Bus, memories: Sequence[Forgetful]) -> None:
    """Have these memories drop what they have of rooms, when those are purged."""

    async def heard(message: Msg) -> None:
        which = mentions(personal_pb2.RoomsPurged.FromString(message.data).rooms)
        for memory in memories:
            memory.forget(which)

    await bus.client.subscribe(ROOMS_PURGED, cb=heard)


async def tell_purged(bus: Bus, rooms: Sequence[str]) -> None:
    """rooms: ids."""
    for at in range(0, len(rooms), 1000):
        body = personal_pb2.RoomsPurged(rooms=rooms[at : at + 1000]).SerializeToString()
        await bus.tell(ROOMS_PURGED, body)
