"""What each public RPC asks of its caller, read from the protos."""

from collections.abc import Iterable
from typing import Any

from google.longrunning import operations_pb2 as longrunning
from google.protobuf.descriptor import ServiceDescriptor

from roomviz.v1 import permissions_pb2

PUBLIC = "public"
_PERMISSION: Any = permissions_pb2.permission  # whose generated type says less than it is
# Services whose protos are not ours.
_FOREIGN = {
    "/google.longrunning.Operations/ListOperations": "operations.get",
    "/google.longrunning.Operations/GetOperation": "operations.get",
    "/google.longrunning.Operations/WaitOperation": "operations.get",
    "/google.longrunning.Operations/CancelOperation": "operations.cancel",
    "/google.longrunning.Operations/DeleteOperation": "operations.delete",
}


def permissions(services: Iterable[ServiceDescriptor]) -> dict[str, str]:
    """The permission of each method (`/package.Service/Method`). Raises ValueError where one asks for none."""
    found = {}
    for service in services:
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            found[path] = _FOREIGN.get(path) or str(method.GetOptions().Extensions[_PERMISSION])
            if not found[path]:
                raise ValueError(f"{path} has no permission")
    return found


OPERATIONS = longrunning.DESCRIPTOR.services_by_name["Operations"]
