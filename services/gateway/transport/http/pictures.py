"""Visualizations: looking at them, saving them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from roomviz.runtime.rpc import invoke
from roomviz.v1 import products_pb2, visualizations_pb2
from services.gateway.domain.records import Visualization
from services.gateway.ports import Calls
from services.gateway.transport.http import shapes, show
from services.gateway.transport.http.files import Links


@dataclass(frozen=True)
class Pictures:
    """Shows visualizations with the products that they were made of."""

    calls: Calls
    links: Links

    async def detail(self, found: Visualization) -> shapes.VisualizationDetail:
        return (await self.details([found]))[0]

    async def details(self, found: Sequence[Visualization]) -> list[shapes.VisualizationDetail]:
        messages = [visualizations_pb2.Visualization.FromString(v.message) for v in found]
        products = await self._products({a.product for m in messages for a in m.applications})
        return [self._detail(v.image_key, m, products, self.links) for v, m in zip(found, messages, strict=True)]

    async def _products(self, names: set[str]) -> dict[str, Any]:
        if not names:
            return {}
        request = products_pb2.BatchGetProductsRequest(names=sorted(names))
        return {p.name: p for p in (await invoke(self.calls.products.BatchGetProducts, request)).products}

    @staticmethod
    def _detail(key: str, m: Any, products: dict[str, Any], links: Links) -> shapes.VisualizationDetail:
        return shapes.VisualizationDetail(
            visualization_id=m.name.removeprefix("visualizations/"),
            name="",
            image_url=links.to(key),
            image_width=m.width_px,
            image_height=m.height_px,
            applied_products=show.applied(m.applications, products, links),
            is_favorite=False,
            created_at=m.create_time.ToDatetime(UTC),
            saved_at=None,
        )
