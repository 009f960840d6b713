"""Each route names the permission that it asks for; the caller is let in before its request is looked at."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from roomviz.errors import InvalidArgument
from roomviz.runtime import context
from services.gateway.transport.admission import Admission, Weight
from services.gateway.transport.http.problems import MEDIA_TYPE, Problem, problem
from services.gateway.transport.identity import Credentials, Gate
from services.gateway.transport.permissions import PUBLIC
from services.gateway.usecases import caller

JSON_BYTES_MAX = 1 << 20
_PERMISSION, _LIMIT, _WEIGHT = "x-roomviz-permission", "x-roomviz-limit-seconds", "x-roomviz-weight"
_PROBLEM = {
    "description": "A failure",
    "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def asks(
    permission: str,
    limit_s: float = 30.0,
    answers: dict[int | str, dict[str, Any]] | None = None,
    weight: Weight = Weight.LIGHT,
    **openapi: Any,
) -> dict[str, Any]:
    """What a route's decorator takes along: the permission, how long the answer may take, what it weighs (a route that
    waits for an operation, or for the caller's line, is no light one), more for its OpenAPI."""
    security: list[dict[str, list[str]]] = [] if permission == PUBLIC else [{"bearer": []}, {"apiKey": []}]
    return {
        "responses": {**(answers or {}), "default": _PROBLEM},
        "openapi_extra": {
            _PERMISSION: permission,
            _LIMIT: limit_s,
            _WEIGHT: weight.value,
            "security": security,
            **openapi,
        },
    }


def gated(credentials: Credentials, admission: Admission) -> type[APIRoute]:
    """The class of routes whose callers these credentials know, and who pass the same limits as over gRPC."""
    gate = Gate(credentials, {})

    class GatedRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            inner = super().get_route_handler()
            extra = self.openapi_extra or {}
            permission, limit_s, weight = str(extra[_PERMISSION]), float(extra[_LIMIT]), Weight(extra[_WEIGHT])

            async def handle(request: Request) -> Response:
                request.state.route = self.path_format
                try:
                    return await served(request)
                except ClientDisconnect:
                    raise
                except Exception as error:
                    return problem(error, request.state.request_id)

            async def served(request: Request) -> Response:
                deadline = time.monotonic() + limit_s
                async with asyncio.timeout(limit_s):
                    sent = dict(request.headers)
                    caller.enter_address(request.client.host if request.client else "")
                    tenant = await gate.let_in(permission, sent)
                    structlog.contextvars.bind_contextvars(tenant=tenant)
                    context.enter(
                        context.RequestContext(
                            request.state.request_id, tenant, deadline, sent.get(context.TRACEPARENT, "")
                        )
                    )
                    if self.body_field is not None:  # before the turn: whoever sends slowly holds none
                        await _take_body(request)
                    async with admission.at(weight, tenant) as told:
                        response = await inner(request)
                        response.headers.update(dict(told))
                        return response

            return handle

    return GatedRoute


async def _take_body(request: Request) -> None:
    """Read a JSON body within its limit, where the framework finds it again."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", "send the body as application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_BYTES_MAX:
            raise InvalidArgument("BODY_TOO_LARGE", f"a JSON body has at most {JSON_BYTES_MAX} bytes")
    request._body = bytes(body)
