"""The tenant of the caller."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from roomviz.errors import InvalidArgument, NotFound, Violation
from services.gateway.domain.records import Tenant
from services.gateway.ports import Tenants
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import parse, printable
from services.gateway.usecases.users import etag_mismatch

RETENTION_DAYS_MAX = 3650


@dataclass(frozen=True)
class TenantCases:
    tenants: Tenants

    async def get(self, name: str) -> Tenant:
        """One's own; `tenants/-` is that too."""
        (asked,) = parse(name, "tenants")
        tenant = await self.tenants.get(caller().tenant) if asked in (caller().tenant, "-") else None
        if tenant is None:
            raise NotFound("TENANT_NOT_FOUND", f"there is no tenant {name}", {"tenant": name})
        return tenant

    async def update(self, name: str, changes: Mapping[str, Any], etag: str, validate_only: bool) -> Tenant:
        """Change `display_name` or `retention_days`."""
        tenant = await self.get(name)
        changes = dict(changes)
        if "display_name" in changes:
            changes["display_name"] = printable(changes["display_name"])
        if not 1 <= changes.get("retention_days", tenant.retention_days) <= RETENTION_DAYS_MAX:
            said = f"things are kept for 1 to {RETENTION_DAYS_MAX} days"
            raise InvalidArgument("RETENTION_INVALID", said, violations=[Violation("tenant.retention_days", said)])
        if etag and etag != tenant.etag:
            raise etag_mismatch(tenant.name)
        if validate_only:
            return replace(tenant, **changes)
        found = await self.tenants.update(tenant.tenant, changes, etag)
        if found is None:
            raise etag_mismatch(tenant.name)
        return found
