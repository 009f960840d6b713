"""API keys: making, changing, rotating and revoking them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound, Violation
from services.gateway.domain.api_keys import (
    ApiKey,
    check_scopes,
    check_store,
    key_hash,
    new_key,
    new_key_id,
    prefix_of,
)
from services.gateway.domain.principal import Role
from services.gateway.ports import ApiKeys
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import parse, printable
from services.gateway.usecases.users import etag_mismatch, grant_too_wide, role_invalid

OVERLAP_MAX = timedelta(days=30)


@dataclass(frozen=True)
class ApiKeyCases:
    """`permissions` are all that there are."""

    keys: ApiKeys
    permissions: frozenset[str]

    async def create(self, role: Role | None, changes: Mapping[str, Any]) -> tuple[ApiKey, str]:
        """Make a key; and the key itself, which nobody can tell later. `changes` as for `update`."""
        if role is None:
            raise role_invalid("api_key.role")
        key_id, now = new_key_id(), datetime.now(UTC)
        blank = ApiKey(
            key_id, caller().tenant, prefix_of(key_id), "", role, (), caller().store, now, now, None, None, None, ""
        )
        asked = replace(blank, **self._checked(changes))
        self._check_grant(asked)
        secret = new_key(key_id)
        return await self.keys.add(asked, key_hash(secret)), secret

    async def get(self, name: str) -> ApiKey:
        (key_id,) = parse(name, "apiKeys")
        key = await self.keys.get(caller().tenant, key_id)
        if key is None:
            raise self._not_found(name)
        return key

    async def page(self, after: str, size: int) -> list[ApiKey]:
        """Oldest first, those after the key with this id."""
        return await self.keys.page(caller().tenant, after, size)

    async def update(self, name: str, changes: Mapping[str, Any], etag: str, validate_only: bool) -> ApiKey:
        """Change `display_name`, `scopes`, `store` or `expire_time` (None: never)."""
        key = await self._live(name)
        self._check_grant(key)
        changes = self._checked(changes)
        asked = replace(key, **changes)
        self._check_grant(asked)
        if etag and etag != key.etag:
            raise etag_mismatch(name)
        if validate_only:
            return asked
        found = await self.keys.update(key.tenant, key.key_id, changes, etag)
        if found is None:
            raise etag_mismatch(name)
        return found

    async def rotate(self, name: str, overlap: timedelta) -> tuple[ApiKey, str]:
        """Give a key another secret, which is told here alone; the old one works on for `overlap`."""
        key = await self._live(name)
        # Who rotates a key holds it from then on.
        self._check_grant(key)
        if not timedelta() <= overlap <= OVERLAP_MAX:
            said = f"an overlap lasts 0 to {OVERLAP_MAX.days} days"
            raise InvalidArgument("OVERLAP_INVALID", said, violations=[Violation("overlap", said)])
        secret = new_key(key.key_id)
        rotated = await self.keys.rotate(key.tenant, key.key_id, key_hash(secret), prefix_of(key.key_id), overlap)
        if rotated is None:
            raise self._revoked(name)
        return rotated, secret

    async def revoke(self, name: str) -> ApiKey:
        key = await self.get(name)
        return await self.keys.revoke(key.tenant, key.key_id) or key

    async def _live(self, name: str) -> ApiKey:
        key = await self.get(name)
        if key.revoke_time is not None:
            raise self._revoked(name)
        return key

    def _checked(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        checked = dict(changes)
        if "display_name" in checked:
            checked["display_name"] = printable(checked["display_name"])
        if "scopes" in checked:
            checked["scopes"] = check_scopes(checked["scopes"], self.permissions)
        if "store" in checked:
            checked["store"] = check_store(checked["store"])
        if checked.get("expire_time") is not None and checked["expire_time"] <= datetime.now(UTC):
            said = "a key ends in the future; revoke it to end it now"
            raise InvalidArgument("EXPIRE_TIME_INVALID", said, violations=[Violation("api_key.expire_time", said)])
        return checked

    def _check_grant(self, key: ApiKey) -> None:
        if not caller().may_grant(key.role, key.scopes, key.store, self.permissions):
            raise grant_too_wide()

    @staticmethod
    def _not_found(name: str) -> NotFound:
        return NotFound("API_KEY_NOT_FOUND", f"there is no API key {name}", {"api_key": name})

    @staticmethod
    def _revoked(name: str) -> FailedPrecondition:
        return FailedPrecondition("API_KEY_REVOKED", f"{name} was revoked; make another", {"api_key": name})
