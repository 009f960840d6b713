"""Quotas in PostgreSQL: the limits of tenants, and megapixels charged in the transaction that makes what they are for."""

from datetime import UTC, datetime
from typing import Any

import asyncpg

from roomviz.errors import NotFound
from roomviz.runtime.database import reachable
from services.gateway.domain.quotas import MEGAPIXELS, OPERATIONS, Allowance, exceeded, next_day

_LIMITS = tuple(Allowance.__dataclass_fields__)
_TODAY = "(now() AT TIME ZONE 'utc')::date"


class PostgresQuotas:
    """What a tenant's row leaves open is as `default` says."""

    def __init__(self, pool: asyncpg.Pool, default: Allowance):
        self._pool, self._default = pool, default

    async def allowance(self, tenant: str) -> Allowance:
        with reachable():
            return await self._allowance(self._pool, tenant)

    async def used(self, tenant: str) -> tuple[int, float]:
        """(operations running, megapixels of today)"""
        with reachable():
            row = await self._pool.fetchrow(
                f"""SELECT (SELECT count(*) FROM operations WHERE tenant = $1 AND state = 'RUNNING') AS running,
                           (SELECT megapixels FROM megapixels_used WHERE tenant = $1 AND day = {_TODAY}) AS megapixels""",
                tenant,
            )
        return row["running"], row["megapixels"] or 0.0

    async def set_limits(self, tenant: str, limits: dict[str, float | None]) -> Allowance:
        """Change some limits of a tenant, by the names in `Allowance`; None goes back to the default."""
        names = [n for n in _LIMITS if n in limits]
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval("SELECT 1 FROM tenants WHERE tenant = $1", tenant):
                    raise NotFound("TENANT_NOT_FOUND", f"there is no tenant {tenant}")
                await connection.execute("INSERT INTO quotas (tenant) VALUES ($1) ON CONFLICT DO NOTHING", tenant)
                for name in names:
                    await connection.execute(f"UPDATE quotas SET {name} = $2 WHERE tenant = $1", tenant, limits[name])
                return await self._allowance(connection, tenant)

    async def charge(self, connection: Any, tenant: str, charge: str, megapixels: float) -> None:
        """Charge `charge` (the name of a room or an operation) once, today; raises QUOTA_EXCEEDED, which must undo the
        transaction of `connection`. Until it ends, others of the tenant wait here."""
        row = await connection.fetchrow(
            f"""WITH charged AS (
                    INSERT INTO charges (tenant, charge, day, megapixels) VALUES ($1, $2, {_TODAY}, $3)
                    ON CONFLICT DO NOTHING RETURNING day, megapixels)
                INSERT INTO megapixels_used AS u (tenant, day, megapixels) SELECT $1, day, megapixels FROM charged
                ON CONFLICT (tenant, day) DO UPDATE SET megapixels = u.megapixels + EXCLUDED.megapixels
                RETURNING u.megapixels,
                    coalesce((SELECT megapixels_day FROM quotas WHERE tenant = $1), $4::double precision) AS most""",
            tenant,
            charge,
            megapixels,
            self._default.megapixels_day,
        )
        if row is not None and megapixels and row["megapixels"] > row["most"]:
            used = row["megapixels"] - megapixels
            now = datetime.now(UTC)
            raise exceeded(
                MEGAPIXELS,
                row["most"],
                used,
                f"{megapixels:.3g} megapixels asked for, {used:.4g} of {row['most']:g} used today",
                (next_day(now) - now).total_seconds(),
            )

    async def charge_operation(self, connection: Any, tenant: str, operation_id: str, megapixels: float) -> None:
        """As `charge`, for an operation whose row was just inserted; it counts as one that runs, too."""
        await self.charge(connection, tenant, f"operations/{operation_id}", megapixels)
        row = await connection.fetchrow(
            """SELECT count(*) AS running,
                      coalesce((SELECT operations_running FROM quotas WHERE tenant = $1), $2::int) AS most
               FROM operations WHERE tenant = $1 AND state = 'RUNNING'""",
            tenant,
            self._default.operations_running,
        )
        if row["running"] > row["most"]:
            asked = f"{row['running'] - 1} operations of the tenant run, of at most {row['most']}"
            raise exceeded(OPERATIONS, row["most"], row["running"] - 1, asked, 5.0)

    async def give_back(self, connection: Any, tenant: str, charge: str) -> None:
        """Take a charge back, on the day that it was for."""
        await connection.execute(
            """WITH gone AS (DELETE FROM charges WHERE tenant = $1 AND charge = $2 RETURNING day, megapixels)
               UPDATE megapixels_used u SET megapixels = greatest(0, u.megapixels - gone.megapixels)
               FROM gone WHERE u.tenant = $1 AND u.day = gone.day""",
            tenant,
            charge,
        )

    async def forget(self) -> None:
        """Remove what was charged so long ago that nothing can ask for it again: operations end within hours."""
        with reachable():
            await self._pool.execute(f"DELETE FROM charges WHERE day < {_TODAY} - 31")

    async def _allowance(self, connection: Any, tenant: str) -> Allowance:
        row = await connection.fetchrow(f"SELECT {', '.join(_LIMITS)} FROM quotas WHERE tenant = $1", tenant)
        own = {k: v for k, v in (row or {}).items() if v is not None}
        return Allowance(**{**vars(self._default), **own})
