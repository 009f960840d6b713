"""What a tenant may use and what it used, as messages."""

from datetime import timedelta

import grpc

from roomviz.runtime.context import current
from roomviz.v1 import usage_pb2, usage_pb2_grpc
from services.gateway.usecases.quotas import QuotaCases, Used


class UsageService(usage_pb2_grpc.UsageServiceServicer):
    def __init__(self, quotas: QuotaCases):
        self._quotas = quotas

    async def GetTenantUsage(
        self, request: usage_pb2.GetTenantUsageRequest, rpc: grpc.aio.ServicerContext
    ) -> usage_pb2.GetTenantUsageResponse:
        return usage_pb2.GetTenantUsageResponse(quotas=[_proto(u) for u in await self._quotas.usage(current().tenant)])


def _proto(used: Used) -> usage_pb2.QuotaUsage:
    out = usage_pb2.QuotaUsage(quota=used.quota, limit=used.limit, used=used.used, rate_per_second=used.rate_per_s)
    if used.window_s is not None:
        out.window.FromTimedelta(timedelta(seconds=used.window_s))
    if used.reset_time is not None:
        out.reset_time.FromDatetime(used.reset_time)
    return out
