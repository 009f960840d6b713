"""Shares, and what their tokens show."""

from collections.abc import AsyncIterator

import grpc

from roomviz.runtime.rpc import CHUNK_BYTES
from roomviz.v1 import shares_pb2, shares_pb2_grpc
from services.gateway.usecases.shares import ShareCases

Context = grpc.aio.ServicerContext


class ShareService(shares_pb2_grpc.ShareServiceServicer):
    def __init__(self, shares: ShareCases):
        self._shares = shares

    async def ShareVisualization(
        self, request: shares_pb2.ShareVisualizationRequest, rpc: Context
    ) -> shares_pb2.ShareVisualizationResponse:
        return await self._shares.share(request)

    async def ListShares(self, request: shares_pb2.ListSharesRequest, rpc: Context) -> shares_pb2.ListSharesResponse:
        return await self._shares.page(request)

    async def RevokeShare(self, request: shares_pb2.RevokeShareRequest, rpc: Context) -> shares_pb2.RevokeShareResponse:
        return await self._shares.revoke(request)

    async def GetSharedVisualization(
        self, request: shares_pb2.GetSharedVisualizationRequest, rpc: Context
    ) -> shares_pb2.GetSharedVisualizationResponse:
        return await self._shares.shown(request.token)

    async def DownloadSharedVisualization(
        self, request: shares_pb2.DownloadSharedVisualizationRequest, rpc: Context
    ) -> AsyncIterator[shares_pb2.DownloadSharedVisualizationResponse]:
        data = await self._shares.picture(request.token)
        for at in range(0, len(data), CHUNK_BYTES):
            yield shares_pb2.DownloadSharedVisualizationResponse(chunk=data[at : at + CHUNK_BYTES])
