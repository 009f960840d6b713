"""The HTTP application: every route, its OpenAPI document, Connect, and the edge around them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Receive, Scope, Send

from roomviz import __version__
from roomviz.runtime.health import Health
from services.gateway.ports import Calls, Objects
from services.gateway.transport.admission import Admission
from services.gateway.transport.connect import Connect
from services.gateway.transport.http.accounts import accounts
from services.gateway.transport.http.batches import batches
from services.gateway.transport.http.catalog import catalog
from services.gateway.transport.http.demos import demos
from services.gateway.transport.http.edge import Edge
from services.gateway.transport.http.files import Links, files
from services.gateway.transport.http.gate import gated
from services.gateway.transport.http.photos import photos
from services.gateway.transport.http.pictures import Pictures, saved
from services.gateway.transport.http.platform import platform
from services.gateway.transport.http.problems import Problem, ProblemViolation, install
from services.gateway.transport.http.statistics import statistics
from services.gateway.transport.identity import Credentials
from services.gateway.usecases.accounts import AccountCases
from services.gateway.usecases.insights import InsightCases
from services.gateway.usecases.lifecycle import VisualizationLifecycle
from services.gateway.usecases.photo_sessions import PhotoSessionCases
from services.gateway.usecases.refinements import RefinementCases
from services.gateway.usecases.visitors import VisitorCases

OPENAPI_PATH = "/api/openapi.json"


@dataclass(frozen=True)
class Cases:
    """What the routes call."""

    sessions: PhotoSessionCases
    refinements: RefinementCases
    visualizations: VisualizationLifecycle
    visitors: VisitorCases
    accounts: AccountCases
    calls: Calls
    objects: Objects
    health: Health
    jwks: Callable[[], dict[str, Any]]
    insights: InsightCases


def api(
    credentials: Credentials,
    admission: Admission,
    cases: Cases,
    links: Links,
    upload_limit_s: float,
    watch_limit_s: float,
    wait_s: float,
) -> FastAPI:
    """Every route below /api/, and what they answer with."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    install(app)
    router = APIRouter(route_class=gated(credentials, admission))
    pictures = Pictures(cases.calls, links)
    photos(
        router,
        cases.sessions,
        cases.refinements,
        cases.visualizations,
        pictures,
        links,
        upload_limit_s,
        wait_s,
    )
    saved(router, cases.visualizations, pictures)
    catalog(router, cases.calls, links)
    demos(router, cases.visitors, cases.sessions, links, upload_limit_s, wait_s)
    batches(router, cases.sessions, cases.objects, links.base, upload_limit_s, watch_limit_s)
    files(router, links, cases.objects)
    accounts(router, cases.accounts)
    platform(router, cases.health, cases.jwks)
    statistics(router, cases.insights)
    app.include_router(router)
    document = openapi(app)

    @app.get(OPENAPI_PATH, include_in_schema=False)
    async def get_openapi_document() -> dict[str, Any]:
        return document

    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    found = get_openapi(
        title="roomviz",
        version=__version__,
        summary="A photo of a room in, the same room with another floor out.",
        description="Failures are problems (RFC 9457). Links to pictures are valid for a short while and need no header.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (Problem, ProblemViolation):
        made = model.model_json_schema(ref_template="#/components/schemas/{model}")
        made.pop("$defs", None)
        schemas[model.__name__] = made
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return found


class Front:
    """RPCs go to Connect, all else to the routes."""

    def __init__(self, connect: Connect, app: ASGIApp):
        self._connect, self._app = connect, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen: ASGIApp = self._connect if self._connect.knows(scope["path"]) else self._app
        await chosen(scope, receive, send)


def application(app: FastAPI, connect: Connect, origins: Sequence[str]) -> ASGIApp:
    return Edge(Front(connect, app), origins)
