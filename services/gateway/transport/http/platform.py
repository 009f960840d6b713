"""How the server is."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from roomviz import __version__
from roomviz.errors import PermissionDenied
from roomviz.runtime.health import Health
from services.gateway.transport.admission import Weight
from services.gateway.transport.http import shapes
from services.gateway.transport.http.gate import asks
from services.gateway.transport.permissions import PUBLIC
from services.gateway.usecases.caller import caller

_DOWN: dict[int | str, dict[str, Any]] = {503: {"model": shapes.HealthReport, "description": "It cannot"}}


def platform(router: APIRouter, health: Health, jwks: Callable[[], dict[str, Any]]) -> None:
    @router.get(
        "/api/health",
        summary="Whether the server can work",
        operation_id="getHealth",
        **asks(PUBLIC, answers=_DOWN, weight=Weight.WATCHED),
    )
    async def get_health(response: Response) -> shapes.HealthReport:
        """503 where PostgreSQL, NATS or the object store is missing."""
        checks = health.answer().checks
        ok = bool(checks) and all(c.ok for c in checks)
        response.status_code = 200 if ok else 503
        return shapes.HealthReport(
            status="ok" if ok else "unavailable",
            version=__version__,
            # Why, in detail, is for those who may ask GetSystemStatus.
            checks=[
                shapes.HealthCheck(name=c.dependency, ok=c.ok, reason="" if c.ok else "does not work") for c in checks
            ],
        )

    @router.get(
        "/api/metrics",
        summary="Metrics of this process, for Prometheus",
        operation_id="getMetrics",
        response_class=Response,
        **asks(
            "system.get",
            answers={200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
        ),
    )
    async def get_metrics() -> Response:
        """Not for shoppers and kiosks, who may ask how the server is but see what is theirs alone."""
        if caller().own_only:
            raise PermissionDenied("PERMISSION_MISSING", "metrics are of everybody's requests")
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get(
        "/.well-known/jwks.json",
        summary="The public keys of access tokens (RFC 7517)",
        operation_id="getKeys",
        **asks(PUBLIC),
    )
    async def get_keys(response: Response) -> dict[str, Any]:
        response.headers["Cache-Control"] = "public, max-age=300"
        return jwks()
