"""Who calls: the tenant of an API key. The tenant comes from the credential, never from the payload."""

import time
from collections.abc import Mapping

from roomviz.errors import Unauthenticated
from services.gateway.adapters.postgres import PostgresKeys

_REMEMBER_S = 10.0
_REMEMBER_MAX = 10_000


class ApiKeys:
    """`authorization: Bearer KEY`. A key is looked up again after ten seconds, so a revoked one stops soon."""

    def __init__(self, keys: PostgresKeys):
        self._keys = keys
        self._known: dict[str, tuple[str, float]] = {}

    async def __call__(self, metadata: Mapping[str, str]) -> str:
        scheme, _, key = metadata.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated("API_KEY_INVALID", "send your API key as `authorization: Bearer KEY`")
        known = self._known.get(key)
        if known and known[1] > time.monotonic():
            return known[0]
        tenant = await self._keys.tenant(key)
        if tenant is None:
            self._known.pop(key, None)
            raise Unauthenticated("API_KEY_INVALID", "this API key is not valid")
        if len(self._known) >= _REMEMBER_MAX:
            self._known.clear()
        self._known[key] = (tenant, time.monotonic() + _REMEMBER_S)
        return tenant
