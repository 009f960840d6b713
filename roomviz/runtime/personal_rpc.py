"""PersonalDataService, the same for every service that keeps something of rooms."""

from collections.abc import AsyncIterator
from typing import Protocol

import grpc

from roomviz.internal.personal.v1 import personal_pb2, personal_pb2_grpc
from roomviz.personal import Scope
from roomviz.runtime.context import current
from roomviz.runtime.objects import Stored

# Seconds: of many rooms, and pictures of batches by the thousand.
LONGER = {
    f"/roomviz.internal.personal.v1.PersonalDataService/{m}": 600.0
    for m in ("CollectPersonalData", "PurgePersonalData")
}


class Keeper(Protocol):
    """What a service does with its own part."""

    def rows(self, scope: Scope) -> AsyncIterator[personal_pb2.Row]: ...

    def stored(self, scope: Scope) -> AsyncIterator[Stored]: ...

    def purge(self, scope: Scope) -> AsyncIterator[Stored]:
        """Remove all of it; the objects that are gone."""


class PersonalDataService(personal_pb2_grpc.PersonalDataServiceServicer):
    def __init__(self, keeper: Keeper):
        self._keeper = keeper

    async def CollectPersonalData(
        self, request: personal_pb2.CollectPersonalDataRequest, rpc: grpc.aio.ServicerContext
    ) -> AsyncIterator[personal_pb2.CollectPersonalDataResponse]:
        scope = _scope(request.scope)
        async for row in self._keeper.rows(scope):
            yield personal_pb2.CollectPersonalDataResponse(row=row)
        async for found in self._keeper.stored(scope):
            yield personal_pb2.CollectPersonalDataResponse(object=_object(found))

    async def PurgePersonalData(
        self, request: personal_pb2.PurgePersonalDataRequest, rpc: grpc.aio.ServicerContext
    ) -> AsyncIterator[personal_pb2.PurgePersonalDataResponse]:
        async for gone in self._keeper.purge(_scope(request.scope)):
            yield personal_pb2.PurgePersonalDataResponse(object=_object(gone))


def _scope(s: personal_pb2.Scope) -> Scope:
    return Scope(current().tenant, "", tuple(s.rooms), tuple(s.operations))


def _object(o: Stored) -> personal_pb2.StoredObject:
    return personal_pb2.StoredObject(key=o.key, size_bytes=o.size_bytes, etag=o.etag)
