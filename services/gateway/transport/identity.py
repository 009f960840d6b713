"""Who calls, and whether they may. The tenant comes from the credential, never from the payload."""

import time
from collections.abc import Awaitable, Callable, Mapping

from roomviz.errors import PermissionDenied, Unauthenticated
from services.gateway.adapters.accounts import PostgresSessions
from services.gateway.adapters.api_keys import PostgresApiKeys
from services.gateway.adapters.tokens import JwtTokens
from services.gateway.domain.principal import Principal
from services.gateway.transport.permissions import PUBLIC
from services.gateway.usecases import caller

API_KEY = "x-api-key"
_REMEMBER_S = 10.0
_REMEMBER_MAX = 10_000


class Credentials:
    """`authorization: Bearer KEY_OR_ACCESS_TOKEN`, or `x-api-key: KEY`; the first one counts where both are sent.

    Keys and sessions are looked up again after ten seconds, so what was revoked stops soon; a token's signature and its
    times are looked at in each call.
    """

    def __init__(self, keys: PostgresApiKeys, sessions: PostgresSessions, tokens: JwtTokens):
        self._keys, self._sessions, self._tokens = keys, sessions, tokens
        self._known: dict[str, tuple[Principal, float]] = {}

    async def principal(self, metadata: Mapping[str, str]) -> Principal:
        scheme, _, bearer = metadata.get("authorization", "").partition(" ")
        if not scheme and API_KEY in metadata:
            return await self.of_key(metadata[API_KEY])
        if scheme.lower() != "bearer" or not bearer:
            raise Unauthenticated(
                "CREDENTIAL_MISSING",
                "send an access token as `authorization: Bearer TOKEN`, or your API key so or as x-api-key",
            )
        if "." not in bearer:  # which no key has, and every JWT
            return await self.of_key(bearer)
        claims = self._tokens.read(bearer)
        found = await self._remembered(f"session {claims.session_id}", lambda: self._sessions.principal(claims))
        if found is None or found.subject != f"users/{claims.user_id}" or found.tenant != claims.tenant:
            raise Unauthenticated("TOKEN_INVALID", "this access token is not valid")
        return found

    async def of_key(self, key: str) -> Principal:
        found = await self._remembered(f"key {key}", lambda: self._keys.principal(key))
        if found is None:
            raise Unauthenticated("API_KEY_INVALID", "this API key is not valid")
        return found

    async def _remembered(self, name: str, look_up: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        known = self._known.get(name)
        if known and known[1] > time.monotonic():
            return known[0]
        principal = await look_up()
        if principal is None:
            self._known.pop(name, None)
            return None
        if len(self._known) >= _REMEMBER_MAX:
            self._known.clear()
        self._known[name] = (principal, time.monotonic() + _REMEMBER_S)
        return principal


class Gate:
    """Lets a call in, before its request is looked at: the caller is known, and its role grants the RPC.

    A public call has no caller; an API key sent as `x-api-key` says which tenant it is for.
    """

    def __init__(self, credentials: Credentials, permissions: Mapping[str, str]):
        self._credentials, self._permissions = credentials, permissions

    async def __call__(self, method: str, metadata: Mapping[str, str]) -> str:
        return await self.let_in(self._permissions.get(method, ""), metadata)

    async def let_in(self, permission: str, metadata: Mapping[str, str]) -> str:
        """The tenant of a caller with this permission, who is the caller from here on; of a public call perhaps none."""
        if permission == PUBLIC:
            return (await self._credentials.of_key(metadata[API_KEY])).tenant if API_KEY in metadata else ""
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
