"""API keys over gRPC: translates, and calls the use cases."""

from datetime import UTC
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from roomviz.errors import InvalidArgument, Violation
from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.v1 import api_keys_pb2, api_keys_pb2_grpc
from services.gateway.domain.api_keys import ApiKey
from services.gateway.transport.accounts import role_of, role_to_proto
from services.gateway.transport.update_masks import updated
from services.gateway.usecases.api_keys import ApiKeyCases
from services.gateway.usecases.shown import stamp

Context = grpc.aio.ServicerContext
_CHANGEABLE = ["display_name", "scopes", "store", "expire_time"]


def key_to_proto(k: ApiKey) -> api_keys_pb2.ApiKey:
    out = api_keys_pb2.ApiKey(
        name=k.name,
        prefix=k.prefix,
        display_name=k.display_name,
        role=role_to_proto(k.role),
        scopes=k.scopes,
        store=k.store,
        etag=k.etag,
    )
    times = ("create_time", "update_time", "expire_time", "revoke_time", "overlap_expire_time")
    stamp(out, **{field: getattr(k, field) for field in times})
    return out


def _values(key: api_keys_pb2.ApiKey, changes: dict[str, Any]) -> dict[str, Any]:
    """Changes in the use cases' types."""
    if "scopes" in changes:
        changes["scopes"] = tuple(changes["scopes"])
    if "expire_time" in changes:
        at: Timestamp = changes["expire_time"]
        try:
            changes["expire_time"] = at.ToDatetime(UTC) if key.HasField("expire_time") else None
        except (ValueError, OverflowError) as error:
            said = "this is no time"
            raise InvalidArgument(
                "EXPIRE_TIME_INVALID", said, violations=[Violation("api_key.expire_time", said)]
            ) from error
    return changes


class ApiKeyService(api_keys_pb2_grpc.ApiKeyServiceServicer):
    def __init__(self, keys: ApiKeyCases):
        self._keys = keys

    async def CreateApiKey(
        self, request: api_keys_pb2.CreateApiKeyRequest, rpc: Context
    ) -> api_keys_pb2.CreateApiKeyResponse:
        given = {f.name: value for f, value in request.api_key.ListFields() if f.name in _CHANGEABLE}
        key, secret = await self._keys.create(role_of(request.api_key.role), _values(request.api_key, given))
        return api_keys_pb2.CreateApiKeyResponse(api_key=key_to_proto(key), secret=secret)

    async def GetApiKey(self, request: api_keys_pb2.GetApiKeyRequest, rpc: Context) -> api_keys_pb2.GetApiKeyResponse:
        return api_keys_pb2.GetApiKeyResponse(api_key=key_to_proto(await self._keys.get(request.name)))

    async def ListApiKeys(
        self, request: api_keys_pb2.ListApiKeysRequest, rpc: Context
    ) -> api_keys_pb2.ListApiKeysResponse:
        question = (current().tenant, "apiKeys")
        size = paging.page_size(request.page_size)
        found = await self._keys.page(paging.after(request.page_token, *question), size + 1)
        more = paging.token(found[size - 1].key_id, *question) if len(found) > size else ""
        return api_keys_pb2.ListApiKeysResponse(api_keys=map(key_to_proto, found[:size]), next_page_token=more)

    async def UpdateApiKey(
        self, request: api_keys_pb2.UpdateApiKeyRequest, rpc: Context
    ) -> api_keys_pb2.UpdateApiKeyResponse:
        k = request.api_key
        changes = _values(k, updated(k, request.update_mask, _CHANGEABLE))
        key = await self._keys.update(k.name, changes, k.etag, request.validate_only)
        return api_keys_pb2.UpdateApiKeyResponse(api_key=key_to_proto(key))

    async def RotateApiKey(
        self, request: api_keys_pb2.RotateApiKeyRequest, rpc: Context
    ) -> api_keys_pb2.RotateApiKeyResponse:
        try:
            overlap = request.overlap.ToTimedelta()
        except (ValueError, OverflowError) as error:
            raise InvalidArgument("OVERLAP_INVALID", "this is no length of time") from error
        key, secret = await self._keys.rotate(request.name, overlap)
        return api_keys_pb2.RotateApiKeyResponse(api_key=key_to_proto(key), secret=secret)

    async def RevokeApiKey(
        self, request: api_keys_pb2.RevokeApiKeyRequest, rpc: Context
    ) -> api_keys_pb2.RevokeApiKeyResponse:
        return api_keys_pb2.RevokeApiKeyResponse(api_key=key_to_proto(await self._keys.revoke(request.name)))
