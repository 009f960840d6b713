"""What happens, told once: webhooks send it, insights count it.

A type is part of the API: none is renamed, and what its event carries is only added to. docs/webhooks.md lists them.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from urllib.parse import quote


class Type(StrEnum):
    ROOM_UPLOADED = "dev.roomviz.room.uploaded"
    ROOM_ANALYZED = "dev.roomviz.room.analyzed"
    ROOM_DELETED = "dev.roomviz.room.deleted"
    SURFACE_CHOSEN = "dev.roomviz.surface.chosen"
    PRODUCT_VIEWED = "dev.roomviz.product.viewed"
    PRODUCT_APPLIED = "dev.roomviz.product.applied"
    VISUALIZATION_EXPORTED = "dev.roomviz.visualization.exported"
    VISUALIZATION_GENERATED = "dev.roomviz.visualization.generated"
    VISUALIZATION_SAVED = "dev.roomviz.visualization.saved"
    VISUALIZATION_SHARED = "dev.roomviz.visualization.shared"
    VISUALIZATION_DELETED = "dev.roomviz.visualization.deleted"
    BATCH_ENDED = "dev.roomviz.batch.ended"
    OPERATION_FAILED = "dev.roomviz.operation.failed"
    CART_ADDED = "dev.roomviz.cart.added"
    PURCHASE_MADE = "dev.roomviz.purchase.made"
    ENDPOINT_DISABLED = "dev.roomviz.webhook_endpoint.disabled"
    WEBHOOK_TEST = "dev.roomviz.webhook.test"


# They come with every click: an endpoint gets them only where it names them.
FREQUENT = frozenset({Type.SURFACE_CHOSEN, Type.PRODUCT_VIEWED, Type.PRODUCT_APPLIED})


@dataclass(frozen=True)
class Event:
    """Something that happened to `subject` (a resource name), done by `owner` (the subject of a principal).

    unit is the visitor, where a shop names one; value is what it is worth in currency (ISO 4217); data is what else
    there is to tell, as JSON has it, and nothing personal.
    """

    type: Type
    tenant: str
    owner: str
    subject: str
    room: str = ""
    product: str = ""
    surface_kind: str = ""
    store: str = ""
    unit: str = ""
    value: Decimal | None = None
    currency: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    event_id: str = field(default_factory=lambda: secrets.token_hex(15))


def cloud_event(event: Event) -> dict[str, Any]:
    """The event as JSON. Source: CloudEvents 1.0.2, 3.1 (required: id, source, specversion, type)."""
    told = {
        "room": event.room,
        "product": event.product,
        "surface_kind": event.surface_kind,
        "store": event.store,
        "unit": event.unit,
        "value": None if event.value is None else format(event.value.normalize(), "f"),
        "currency_code": event.currency,
        "owner": event.owner,
    }
    return {
        "specversion": "1.0",
        "id": event.event_id,
        "source": f"/tenants/{quote(event.tenant, safe='')}",
        "type": event.type.value,
        "subject": event.subject,
        "time": event.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {k: v for k, v in told.items() if v} | dict(event.data),
    }
