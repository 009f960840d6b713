"""Visualizations: looking at them, saving them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from fastapi import APIRouter

from roomviz.runtime.rpc import invoke
from roomviz.v1 import products_pb2, visualizations_pb2
from services.gateway.domain.records import Visualization
from services.gateway.ports import Calls
from services.gateway.transport.http import shapes, show
from services.gateway.transport.http.catalog import Limit, Skip
from services.gateway.transport.http.files import Links
from services.gateway.transport.http.gate import asks
from services.gateway.usecases.lifecycle import VISUALIZATION_FIELDS, VisualizationLifecycle
from services.gateway.usecases.listing import listed


@dataclass(frozen=True)
class Pictures:
    """Shows visualizations with the products that they were made of."""

    calls: Calls
    links: Links

    async def detail(self, found: Visualization) -> shapes.VisualizationDetail:
        return (await self.details([found]))[0]

    async def details(self, found: Sequence[Visualization]) -> list[shapes.VisualizationDetail]:
        messages = [visualizations_pb2.Visualization.FromString(v.message) for v in found]
        products = await self._products({a.product for m in messages for a in m.applications if a.product})
        return [self._detail(v, m, products) for v, m in zip(found, messages, strict=True)]

    async def _products(self, names: set[str]) -> dict[str, Any]:
        if not names:
            return {}
        request = products_pb2.BatchGetProductsRequest(names=sorted(names))
        return {p.name: p for p in (await invoke(self.calls.products.BatchGetProducts, request)).products}

    def _detail(self, v: Visualization, m: Any, products: dict[str, Any]) -> shapes.VisualizationDetail:
        return shapes.VisualizationDetail(
            visualization_id=v.visualization_id,
            name=v.display_name,
            image_url=self.links.to(v.image_key),
            image_width=m.width_px,
            image_height=m.height_px,
            applied_products=show.applied(m.applications, products, self.links),
            is_favorite=v.favorite,
            created_at=m.create_time.ToDatetime(UTC),
            saved_at=v.save_time,
        )


def saved(router: APIRouter, lifecycle: VisualizationLifecycle, pictures: Pictures) -> None:
    @router.post(
        "/api/save", summary="Keep a visualization", operation_id="saveVisualization", **asks("visualizations.update")
    )
    async def save(body: shapes.SaveAsked) -> shapes.Saved:
        name = f"visualizations/{body.visualization_id}"
        request = visualizations_pb2.SaveVisualizationRequest(name=name, display_name=body.name)
        made = (await lifecycle.save(request)).visualization
        return shapes.Saved(
            visualization_id=body.visualization_id, name=made.display_name, saved_at=made.save_time.ToDatetime(UTC)
        )

    @router.get(
        "/api/visualizations",
        summary="What was saved, the newest first",
        operation_id="listVisualizations",
        **asks("visualizations.list"),
    )
    async def list_visualizations(skip: Skip = 0, limit: Limit = 20) -> shapes.VisualizationPage:
        found: list[Visualization] = []
        token = ""
        while len(found) <= skip + limit:
            page, token = await listed(
                lifecycle.visualizations.page, "visualizations", VISUALIZATION_FIELDS, 200, token, "saved = true"
            )
            found += page
            if not token:
                break
        return shapes.VisualizationPage(
            visualizations=await pictures.details(found[skip : skip + limit]),
            skip=skip,
            limit=limit,
            has_more=len(found) > skip + limit,
        )

    @router.get(
        "/api/visualizations/{visualization_id}",
        summary="A visualization, saved or not",
        operation_id="getVisualization",
        **asks("visualizations.get"),
    )
    async def get_visualization(visualization_id: str) -> shapes.VisualizationDetail:
        return await pictures.detail(await lifecycle.cases.get(f"visualizations/{visualization_id}"))
