"""What customers do, in numbers."""

from typing import Any

from fastapi import APIRouter, Query, Request

from services.gateway.transport.http.gate import asks
from services.gateway.transport.insights import insights_json
from services.gateway.usecases.insights import InsightCases


def statistics(router: APIRouter, insights: InsightCases) -> None:
    @router.get(
        "/api/insights",
        summary="Counts by day, product, surface and store, or a funnel",
        operation_id="getInsights",
        **asks("insights.get"),
    )
    async def get_insights(
        request: Request,
        begin: str = Query(alias="from", description="The first day, such as 2026-11-01."),
        end: str = Query(alias="to", description="The last day."),
        group_by: str = Query("", description="day, type, product, surface_kind, store: several parted by commas."),
        funnel: str = Query("", description="`room` or `visitor`: the funnel of these days instead."),
        window_days: str = Query("", description="How long a visitor may take through the funnel."),
    ) -> dict[str, Any]:
        """Also takes type, product, surface_kind and store, each one or several parted by commas, to count these alone."""
        return await insights_json(insights, request.query_params)
