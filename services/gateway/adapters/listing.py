"""Pages of a table in PostgreSQL, by key: what is inserted between two pages moves nothing (no OFFSET)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from roomviz.runtime import paging
from roomviz.runtime.database import reachable
from services.gateway.domain.filters import Condition, Question


@dataclass(frozen=True)
class Listing:
    """A table with tenant, owner and, where a question hides what was deleted, delete_time.

    `columns`: the SQL of each field that a filter or an order names.
    """

    table: str
    id: str
    select: str
    columns: Mapping[str, str]

    async def page(
        self, pool: asyncpg.Pool, tenant: str, question: Question, position: str, limit: int
    ) -> tuple[list[Any], str]:
        """At most `limit` rows after a position, and the position of the next page; empty: the end."""
        order, arguments = question.order, [tenant, question.owner]
        by = self.columns[order.field]
        where = ["tenant = $1", "($2 = '' OR owner = $2)"]
        if not question.show_deleted:
            where.append("delete_time IS NULL")
        for condition in question.conditions:
            arguments.append(condition.value)  # type: ignore[arg-type]
            where.append(_sql(condition, self.columns[condition.field], len(arguments)))
        if position:
            arguments += _decoded(position, order.field)
            sign = "<" if order.descending else ">"
            where.append(f"({by}, {self.id}) {sign} (${len(arguments) - 1}, ${len(arguments)})")
        way = "DESC" if order.descending else "ASC"
        with reachable():
            rows = await pool.fetch(
                f"""SELECT {self.select}, {by} AS listed_by FROM {self.table} WHERE {" AND ".join(where)}
                    ORDER BY {by} {way}, {self.id} {way} LIMIT {limit + 1}""",
                *arguments,
            )
        if len(rows) <= limit:
            return rows, ""
        last = rows[limit - 1]
        key = last["listed_by"].isoformat() if isinstance(last["listed_by"], datetime) else last["listed_by"]
        return rows[:limit], json.dumps([key, last[self.id]])


def _sql(condition: Condition, column: str, number: int) -> str:
    if condition.operator == ":":
        return f"strpos(lower({column}), lower(${number})) > 0"
    operator = {"!=": "<>"}.get(condition.operator, condition.operator)
    return f"{column} {operator} ${number}"


def _decoded(position: str, field: str) -> list[Any]:
    try:
        key, last = json.loads(position)
        if not isinstance(key, str) or not isinstance(last, str):
            raise ValueError
        return [datetime.fromisoformat(key) if field.endswith("_time") else key, last]
    except (ValueError, TypeError):
        raise paging.foreign_token() from None
