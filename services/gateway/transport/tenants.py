"""The caller's tenant over gRPC: translates, and calls the use cases."""

import grpc

from roomviz.v1 import tenants_pb2, tenants_pb2_grpc
from services.gateway.domain.records import Tenant
from services.gateway.transport.update_masks import updated
from services.gateway.usecases.tenants import TenantCases

Context = grpc.aio.ServicerContext


def tenant_to_proto(t: Tenant) -> tenants_pb2.Tenant:
    out = tenants_pb2.Tenant(name=t.name, display_name=t.display_name, retention_days=t.retention_days, etag=t.etag)
    out.create_time.FromDatetime(t.create_time)
    out.update_time.FromDatetime(t.update_time)
    return out


class TenantService(tenants_pb2_grpc.TenantServiceServicer):
    def __init__(self, tenants: TenantCases):
        self._tenants = tenants

    async def GetTenant(self, request: tenants_pb2.GetTenantRequest, rpc: Context) -> tenants_pb2.GetTenantResponse:
        return tenants_pb2.GetTenantResponse(tenant=tenant_to_proto(await self._tenants.get(request.name)))

    async def UpdateTenant(
        self, request: tenants_pb2.UpdateTenantRequest, rpc: Context
    ) -> tenants_pb2.UpdateTenantResponse:
        t = request.tenant
        changes = updated(t, request.update_mask, ["display_name", "retention_days"])
        tenant = await self._tenants.update(t.name, changes, t.etag, request.validate_only)
        return tenants_pb2.UpdateTenantResponse(tenant=tenant_to_proto(tenant))
