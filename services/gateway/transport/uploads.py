"""Uploads that outlive a connection; their bytes come through RoomService.UploadRoom."""

import grpc

from roomviz.v1 import uploads_pb2, uploads_pb2_grpc
from services.gateway.usecases.uploads import UploadCases

Context = grpc.aio.ServicerContext


class UploadService(uploads_pb2_grpc.UploadServiceServicer):
    def __init__(self, uploads: UploadCases):
        self._uploads = uploads

    async def CreateUpload(
        self, request: uploads_pb2.CreateUploadRequest, rpc: Context
    ) -> uploads_pb2.CreateUploadResponse:
        return await self._uploads.create(request)

    async def GetUpload(self, request: uploads_pb2.GetUploadRequest, rpc: Context) -> uploads_pb2.GetUploadResponse:
        return await self._uploads.get(request)
