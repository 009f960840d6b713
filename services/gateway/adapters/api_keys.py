"""API keys in PostgreSQL; of a key itself only the hash is there."""

import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.gateway.adapters.accounts import settings_of
from services.gateway.domain.api_keys import ApiKey, key_hash, key_id_of, new_key_id
from services.gateway.domain.principal import Principal, Role

_KEY = (
    "key_id, tenant, prefix, display_name, role, scopes, store, create_time, update_time, expire_time, revoke_time, "
    "CASE WHEN overlap_expire_time > now() THEN overlap_expire_time END AS overlap_expire_time, revision::text AS etag"
)


def _key(row: Any) -> ApiKey:
    return ApiKey(**(dict(row) | {"role": Role(row["role"]), "scopes": tuple(row["scopes"])}))


class PostgresApiKeys:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def principal(self, key: str) -> Principal | None:
        """Whose key this is. A key of ours is looked up by its id, and its hash compared in constant time."""
        hashed, key_id = key_hash(key), key_id_of(key)
        with reachable():
            row = await self._pool.fetchrow(
                f"""SELECT tenant, key_id, role, scopes, store, key_hash,
                       CASE WHEN overlap_expire_time > now() THEN overlap_hash END AS overlap_hash
                    FROM api_keys WHERE {"key_id = $1" if key_id else "(key_hash = $1 OR overlap_hash = $1)"}
                    AND revoke_time IS NULL AND (expire_time IS NULL OR expire_time > now())""",
                key_id or hashed,
            )
        if row is None or not any(hmac.compare_digest(hashed, row[c] or b"") for c in ("key_hash", "overlap_hash")):
            return None
        return Principal(
            row["tenant"], f"apiKeys/{row['key_id']}", Role(row["role"]), tuple(row["scopes"]), row["store"]
        )

    async def make_valid(self, key: str, tenant: str) -> None:
        """Make this key, of whatever form, an owner's; the tenant too, where there is none. One that was rotated stays so."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO tenants (tenant) VALUES ($1) ON CONFLICT DO NOTHING", tenant)
                await connection.execute(
                    """INSERT INTO api_keys (key_hash, key_id, prefix, tenant)
                       SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM api_keys WHERE overlap_hash = $1)
                       ON CONFLICT (key_hash) DO UPDATE SET tenant = EXCLUDED.tenant, revoke_time = NULL""",
                    key_hash(key),
                    key_id_of(key) or new_key_id(),
                    key[:6],
                    tenant,
                )

    async def add(self, key: ApiKey, key_hash: bytes) -> ApiKey:
        with reachable():
            row = await self._pool.fetchrow(
                f"""INSERT INTO api_keys (key_hash, key_id, prefix, tenant, display_name, role, scopes, store, expire_time)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_KEY}""",
                key_hash,
                key.key_id,
                key.prefix,
                key.tenant,
                key.display_name,
                key.role.value,
                key.scopes,
                key.store,
                key.expire_time,
            )
        return _key(row)

    async def get(self, tenant: str, key_id: str) -> ApiKey | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_KEY} FROM api_keys WHERE tenant = $1 AND key_id = $2", tenant, key_id
            )
        return _key(row) if row else None

    async def page(self, tenant: str, after: str, size: int) -> list[ApiKey]:
        with reachable():
            rows = await self._pool.fetch(
                # Those of visitors come and go, and are nobody's to manage.
                f"""SELECT {_KEY} FROM api_keys WHERE tenant = $1 AND key_id NOT LIKE 'visitor-%' AND ($2 = '' OR (create_time, key_id) >
                        (SELECT create_time, key_id FROM api_keys WHERE tenant = $1 AND key_id = $2))
                    ORDER BY create_time, key_id LIMIT $3""",
                tenant,
                after,
                size,
            )
        return [_key(r) for r in rows]

    async def update(self, tenant: str, key_id: str, changes: Mapping[str, Any], etag: str) -> ApiKey | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""UPDATE api_keys SET {settings_of(changes, 4)}
                    WHERE tenant = $1 AND key_id = $2 AND revoke_time IS NULL AND ($3 = '' OR revision::text = $3)
                    RETURNING {_KEY}""",
                tenant,
                key_id,
                etag,
                *changes.values(),
            )
        return _key(row) if row else None

    async def rotate(self, tenant: str, key_id: str, key_hash: bytes, prefix: str, overlap: timedelta) -> ApiKey | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""UPDATE api_keys SET overlap_hash = key_hash, overlap_expire_time = now() + $5, key_hash = $3, prefix = $4,
                        update_time = now(), revision = revision + 1
                    WHERE tenant = $1 AND key_id = $2 AND revoke_time IS NULL RETURNING {_KEY}""",
                tenant,
                key_id,
                key_hash,
                prefix,
                overlap,
            )
        return _key(row) if row else None

    async def revoke(self, tenant: str, key_id: str) -> ApiKey | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""UPDATE api_keys SET revoke_time = now(), update_time = now(), revision = revision + 1
                    WHERE tenant = $1 AND key_id = $2 AND revoke_time IS NULL RETURNING {_KEY}""",
                tenant,
                key_id,
            )
        return _key(row) if row else None
