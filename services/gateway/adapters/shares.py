"""Shares in PostgreSQL."""

from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.adapters.listing import Listing
from services.gateway.domain.filters import Question
from services.gateway.domain.records import Share

_SHARE = "share_id, tenant, visualization_id, owner, create_time, expire_time, revoke_time"


def _share(row: Any) -> Share:
    return Share(**{k: row[k] for k in _SHARE.split(", ")})


class PostgresShares:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool
        self._listing = Listing(
            "shares",
            "share_id",
            _SHARE,
            {"create_time": "create_time", "visualization": "visualization_id"},
        )

    async def add(self, connection: asyncpg.Connection, share: Share) -> Share:
        row = await connection.fetchrow(
            f"""INSERT INTO shares (share_id, tenant, visualization_id, owner, create_time, expire_time)
                VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_SHARE}""",
            share.share_id,
            share.tenant,
            share.visualization_id,
            share.owner,
            share.create_time,
            share.expire_time,
        )
        return _share(row)

    async def page(self, tenant: str, question: Question, position: str, limit: int) -> tuple[list[Share], str]:
        rows, more = await self._listing.page(self._pool, tenant, question, position, limit)
        return [_share(r) for r in rows], more

    async def revoke(self, tenant: str, visualization_id: str, share_id: str) -> Share | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""UPDATE shares SET revoke_time = coalesce(revoke_time, now())
                    WHERE tenant = $1 AND visualization_id = $2 AND share_id = $3 RETURNING {_SHARE}""",
                tenant,
                visualization_id,
                share_id,
            )
        return _share(row) if row else None

    async def alive(self, share_id: str) -> Share | None:
        """A share that is not over, whosever it is: who asks has its token."""
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_SHARE} FROM shares WHERE share_id = $1 AND revoke_time IS NULL AND expire_time > now()",
                share_id,
            )
        return _share(row) if row else None
