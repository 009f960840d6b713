"""Who calls, and whether they may. The tenant comes from the credential, never from the payload."""

import time
from collections.abc import Mapping

from roomviz.errors import PermissionDenied, Unauthenticated
from services.gateway.adapters.postgres import PostgresKeys
from services.gateway.domain.principal import Principal
from services.gateway.transport.permissions import PUBLIC
from services.gateway.usecases import caller

_REMEMBER_S = 10.0
_REMEMBER_MAX = 10_000


class Credentials:
    """`authorization: Bearer KEY`. A key is looked up again after ten seconds, so a revoked one stops soon."""

    def __init__(self, keys: PostgresKeys):
        self._keys = keys
        self._known: dict[str, tuple[Principal, float]] = {}

    async def principal(self, metadata: Mapping[str, str]) -> Principal:
        scheme, _, key = metadata.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated("API_KEY_INVALID", "send your API key as `authorization: Bearer KEY`")
        known = self._known.get(key)
        if known and known[1] > time.monotonic():
            return known[0]
        principal = await self._keys.principal(key)
        if principal is None:
            self._known.pop(key, None)
            raise Unauthenticated("API_KEY_INVALID", "this API key is not valid")
        if len(self._known) >= _REMEMBER_MAX:
            self._known.clear()
        self._known[key] = (principal, time.monotonic() + _REMEMBER_S)
        return principal


class Gate:
    """Lets a call in, before its request is looked at: the caller is known, and its role grants the RPC."""

    def __init__(self, credentials: Credentials, permissions: Mapping[str, str]):
        self._credentials, self._permissions = credentials, permissions

    async def __call__(self, method: str, metadata: Mapping[str, str]) -> str:
        permission = self._permissions.get(method, "")
        if permission == PUBLIC:
            return ""
        principal = await self._credentials.principal(metadata)
        require(principal, permission)
        caller.enter(principal)
        return principal.tenant


def require(principal: Principal, permission: str) -> None:
    """Refuse a caller that may not. A method that is not known asks for what nobody but an owner has."""
    if not principal.may(permission):
        raise PermissionDenied(
            "PERMISSION_MISSING",
            f"this credential does not allow {permission or 'this'}",
            {"permission": permission, "role": principal.role.value},
        )
