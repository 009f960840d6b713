"""Users, sessions, tries to sign in, and tenants, in PostgreSQL."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg

from roomviz.errors import AlreadyExists, FailedPrecondition
from roomviz.runtime.database import reachable
from services.gateway.domain.accounts import Claims, User
from services.gateway.domain.addresses import network
from services.gateway.domain.principal import Principal, Role
from services.gateway.domain.records import Tenant

_USER = "user_id, tenant, email, display_name, role, disabled, create_time, update_time, revision::text AS etag"
_TENANT = "tenant, display_name, retention_days, create_time, update_time, revision::text AS etag"


def _user(row: Any) -> User:
    return User(**({k: row[k] for k in User.__dataclass_fields__} | {"role": Role(row["role"])}))


def settings_of(changes: Mapping[str, Any], first: int) -> str:
    """The SET list of an UPDATE whose values are the parameters from `first` on. The names are the use cases' own."""
    named = (f"{name} = ${i}" for i, name in enumerate(changes, first))
    return ", ".join([*named, "update_time = now()", "revision = revision + 1"])


class PostgresUsers:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def add(
        self, tenant: str, user_id: str, email: str, display_name: str, role: Role, password_hash: str
    ) -> User:
        with reachable():
            try:
                row = await self._pool.fetchrow(
                    f"""INSERT INTO users (user_id, tenant, email, display_name, role, password_hash)
                        VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_USER}""",
                    user_id,
                    tenant,
                    email,
                    display_name,
                    role.value,
                    password_hash,
                )
            except asyncpg.UniqueViolationError:
                raise AlreadyExists("EMAIL_TAKEN", "there is an account with this e-mail address") from None
            except asyncpg.ForeignKeyViolationError:
                raise FailedPrecondition("REGISTRATION_CLOSED", "there is no such tenant") from None
        return _user(row)

    async def get(self, tenant: str, user_id: str) -> User | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_USER} FROM users WHERE tenant = $1 AND user_id = $2", tenant, user_id
            )
        return _user(row) if row else None

    async def by_email(self, tenant: str, email: str) -> tuple[User, str] | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_USER}, password_hash FROM users WHERE tenant = $1 AND email = $2", tenant, email
            )
        return (_user(row), row["password_hash"]) if row else None

    async def page(self, tenant: str, after: str, size: int) -> list[User]:
        with reachable():
            rows = await self._pool.fetch(
                f"SELECT {_USER} FROM users WHERE tenant = $1 AND email > $2 ORDER BY email LIMIT $3",
                tenant,
                after,
                size,
            )
        return [_user(r) for r in rows]

    async def update(self, tenant: str, user_id: str, changes: Mapping[str, Any], etag: str) -> User | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""UPDATE users SET {settings_of(changes, 4)}
                    WHERE tenant = $1 AND user_id = $2 AND ($3 = '' OR revision::text = $3) RETURNING {_USER}""",
                tenant,
                user_id,
                etag,
                *changes.values(),
            )
        return _user(row) if row else None

    async def set_password(self, user_id: str, password_hash: str) -> None:
        with reachable():
            await self._pool.execute("UPDATE users SET password_hash = $2 WHERE user_id = $1", user_id, password_hash)

    async def delete(self, tenant: str, user_id: str, etag: str) -> bool:
        with reachable():
            gone = await self._pool.fetchval(
                "DELETE FROM users WHERE tenant = $1 AND user_id = $2 AND ($3 = '' OR revision::text = $3) RETURNING true",
                tenant,
                user_id,
                etag,
            )
        return bool(gone)


class PostgresSessions:
    """Refresh tokens are 256 random bits, kept as SHA-256 alone. One that was used up stays known for as long as it would have worked."""

    def __init__(self, pool: asyncpg.Pool, lifetime: timedelta):
        self._pool, self._lifetime = pool, lifetime

    async def principal(self, claims: Claims) -> Principal | None:
        """Whom a session serves now; None once it is over, or its user disabled or deleted."""
        with reachable():
            role = await self._pool.fetchval(
                """SELECT u.role FROM sessions s JOIN users u USING (user_id)
                   WHERE s.session_id = $1 AND u.user_id = $2 AND u.tenant = $3 AND s.expire_time > now() AND NOT u.disabled""",
                claims.session_id,
                claims.user_id,
                claims.tenant,
            )
        if role is None:
            return None
        return Principal(claims.tenant, f"users/{claims.user_id}", Role(role), session=claims.session_id)

    async def begin(self, user: User, session_id: str) -> str:
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                # Each session that begins clears away some that are over, anybody's.
                await connection.execute(
                    """DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions WHERE expire_time <= now()
                       LIMIT 100 FOR UPDATE SKIP LOCKED)"""
                )
                await connection.execute(
                    "INSERT INTO sessions (session_id, user_id, expire_time) VALUES ($1, $2, now() + $3)",
                    session_id,
                    user.user_id,
                    self._lifetime,
                )
                return await self._token(connection, session_id)

    async def renew(self, refresh_token: str) -> tuple[User, str, str] | None:
        token_hash = _hash(refresh_token)
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                session_id = await connection.fetchval(
                    "UPDATE refresh_tokens SET use_time = now() WHERE token_hash = $1 AND use_time IS NULL RETURNING session_id",
                    token_hash,
                )
                if session_id is None:
                    await connection.execute(
                        "DELETE FROM sessions WHERE session_id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)",
                        token_hash,
                    )
                    return None
                user_id = await connection.fetchval(
                    "UPDATE sessions SET expire_time = now() + $2 WHERE session_id = $1 AND expire_time > now() RETURNING user_id",
                    session_id,
                    self._lifetime,
                )
                row = await connection.fetchrow(
                    f"SELECT {_USER} FROM users WHERE user_id = $1 AND NOT disabled", user_id
                )
                if row is None:
                    return None
                await connection.execute(
                    "DELETE FROM refresh_tokens WHERE session_id = $1 AND use_time < now() - $2::interval",
                    session_id,
                    self._lifetime,
                )
                return _user(row), session_id, await self._token(connection, session_id)

    async def end(self, tenant: str, user_id: str, only: str = "", but: str = "") -> None:
        with reachable():
            await self._pool.execute(
                """DELETE FROM sessions s USING users u WHERE s.user_id = u.user_id AND u.tenant = $1 AND u.user_id = $2
                   AND ($3 = '' OR s.session_id = $3) AND s.session_id <> $4""",
                tenant,
                user_id,
                only,
                but,
            )

    @staticmethod
    async def _token(connection: Any, session_id: str) -> str:
        token = f"rvr_{secrets.token_urlsafe(32)}"
        await connection.execute(
            "INSERT INTO refresh_tokens (token_hash, session_id) VALUES ($1, $2)", _hash(token), session_id
        )
        return token


class PostgresTries:
    """Slows down who guesses, by account and address together and by address alone: never by account alone, which
    anybody could use to keep somebody out. After some free tries each one must wait twice as long as the one before."""

    FORGET_S = 15 * 60.0
    ACCOUNT_FREE, ACCOUNT_WAIT_S_MAX = 5, 60.0
    ADDRESS_FREE, ADDRESS_WAIT_S_MAX = 100, 10.0

    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def take(self, account: str, address: str) -> float:
        address = network(address)
        with reachable():
            await self._pool.execute(
                """DELETE FROM tries WHERE bucket IN (SELECT bucket FROM tries
                   WHERE update_time < now() - make_interval(secs => $1) LIMIT 100 FOR UPDATE SKIP LOCKED)""",
                self.FORGET_S,
            )
            if account:
                wait_s = await self._count(_bucket(account, address), self.ACCOUNT_FREE, self.ACCOUNT_WAIT_S_MAX)
                if wait_s > 0:
                    return wait_s
            return await self._count(_bucket(address), self.ADDRESS_FREE, self.ADDRESS_WAIT_S_MAX)

    async def forget(self, account: str, address: str) -> None:
        address = network(address)
        with reachable():
            await self._pool.execute("DELETE FROM tries WHERE bucket = $1", _bucket(account, address))
            await self._pool.execute(
                "UPDATE tries SET count = greatest(count - 1, 0) WHERE bucket = $1", _bucket(address)
            )

    async def _count(self, bucket: bytes, free: int, wait_s_max: float) -> float:
        counted = await self._pool.fetchval(
            """INSERT INTO tries (bucket, count, next_time) VALUES ($1, 1, now())
               ON CONFLICT (bucket) DO UPDATE SET count = tries.count + 1, update_time = now(),
                   next_time = now() + make_interval(secs => CASE WHEN tries.count + 1 < $2 THEN 0
                       ELSE least($3, power(2, least(tries.count + 1 - $2, 30))) END)
               WHERE tries.next_time <= now() RETURNING count""",
            bucket,
            free,
            wait_s_max,
        )
        if counted is not None:
            return 0.0
        left = await self._pool.fetchval(
            "SELECT extract(epoch FROM next_time - now())::float8 FROM tries WHERE bucket = $1", bucket
        )
        return max(1.0, left or 0.0)


class PostgresTenants:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def get(self, tenant: str) -> Tenant | None:
        with reachable():
            row = await self._pool.fetchrow(f"SELECT {_TENANT} FROM tenants WHERE tenant = $1", tenant)
        return Tenant(**dict(row)) if row else None

    async def update(self, tenant: str, changes: Mapping[str, Any], etag: str) -> Tenant | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"""UPDATE tenants SET {settings_of(changes, 3)}
                    WHERE tenant = $1 AND ($2 = '' OR revision::text = $2) RETURNING {_TENANT}""",
                tenant,
                etag,
                *changes.values(),
            )
        return Tenant(**dict(row)) if row else None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _bucket(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
