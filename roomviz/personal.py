"""Where data about people lies: the words in which each service says so, in its `domain/personal.py`.

Collecting, exporting, anonymising and erasing read these lists, and so does the table in docs/privacy.md; a test fails on
a table of the database that stands in none of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

_NAMES = re.compile(r"(?<!:):(tenant|subject|rooms|room_ids|operations|anonym)\b")


@dataclass(frozen=True)
class Scope:
    """Whose data is meant: all of these rooms (`rooms/{room}`), all of these operations (ids), and what carries this
    subject. An empty subject is nobody's."""

    tenant: str
    subject: str = ""
    rooms: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    # Who is told of instead, where somebody is anonymised: a name that leads back to nobody.
    anonym: str = ""

    @property
    def room_ids(self) -> tuple[str, ...]:
        return tuple(r.removeprefix("rooms/") for r in self.rooms)


@dataclass(frozen=True)
class Table:
    """A table and how its rows belong to somebody.

    where: the condition in SQL, with :tenant, :subject, :rooms (names), :room_ids and :operations (ids), the last three
    arrays; empty: nothing in it is about a person, and `what` says why. kept: until when, for people to read. anonymous:
    what a row becomes when its subject is anonymised, as SQL's SET has it (:anonym is the new name); empty: it is removed. stays: it is shown in an
    export, and not removed with the rest. hidden: columns that no export shows. prefixes: expressions in SQL for where the
    objects of a row begin. messages: columns that are serialized protos, and which: an export shows them as JSON too.
    """

    name: str
    what: str
    kept: str
    where: str = ""
    anonymous: str = ""
    stays: bool = False
    hidden: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    messages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Objects:
    """Objects of the store: their prefix, with {room}, {operation} or {digest} in it."""

    prefix: str
    what: str
    kept: str


@dataclass(frozen=True)
class Holdings:
    """All that a service keeps. Rows are removed in the order of the tables."""

    schema: str
    tables: Sequence[Table]
    objects: Sequence[Objects] = field(default=())


def bound(sql: str, scope: Scope) -> tuple[str, list[Any]]:
    """A statement with a table's condition as PostgreSQL takes it, and its arguments."""
    values: Mapping[str, Any] = {
        "tenant": scope.tenant,
        "subject": scope.subject,
        "rooms": list(scope.rooms),
        "room_ids": list(scope.room_ids),
        "operations": list(scope.operations),
        "anonym": scope.anonym,
    }
    used = list(dict.fromkeys(m[1] for m in _NAMES.finditer(sql)))
    types = {"tenant": "text", "subject": "text", "anonym": "text"}
    numbered = _NAMES.sub(lambda m: f"${used.index(m[1]) + 1}::{types.get(m[1], 'text[]')}", sql)
    return numbered, [values[name] for name in used]


def digest_of(name: str) -> bytes:
    """What stands for a name where the name itself must not stay."""
    return sha256(name.encode()).digest()


def pseudonym(tenant: str, subject: str) -> str:
    """What stands for a subject in what outlives it. Whoever knows the subject finds it; nobody finds the subject."""
    return f"subjects/{sha256(f'{tenant}/{subject}'.encode()).hexdigest()}"
