"""Failures as RFC 9457 problems: the same reasons as over gRPC."""

import http
import math
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from google.rpc import code_pb2
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from roomviz.errors import InvalidArgument, NotFound, RoomvizError, Violation
from roomviz.runtime.rpc import from_status, to_status

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
# Every kind of failure, once.
STATUSES = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# What HTTP has a word of its own for.
_SHARPER = {
    "IMAGE_TOO_LARGE": 413,
    "BODY_TOO_LARGE": 413,
    "IMAGE_FORMAT_UNSUPPORTED": 415,
    "MEDIA_TYPE_UNSUPPORTED": 415,
    "METHOD_NOT_ALLOWED": 405,
}


class ProblemViolation(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Path of the field, such as `applications[0].productId`.")
    description: str


class Problem(BaseModel):
    """A failure (RFC 9457). `reason` is for programs, `detail` for people."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    type: str = Field(default="about:blank")
    title: str = Field(description="The HTTP status in words.")
    status: int
    detail: str
    reason: str = Field(description="UPPER_SNAKE, stable; the same as over gRPC.")
    request_id: str = Field(description="To be quoted to support.")
    metadata: dict[str, str] = Field(default_factory=dict, description="What the reason is about.")
    violations: list[ProblemViolation] = Field(default_factory=list)


def problem(error: BaseException, request_id: str) -> JSONResponse:
    """The answer to a failure; what we did not expect says nothing of itself."""
    if isinstance(error, RequestValidationError | HTTPException):
        error = _in_our_words(error)
    status = to_status(error)
    known = from_status(status)
    code = _SHARPER.get(known.reason, STATUSES[code_pb2.Code.Name(status.code)])
    if code == 500:
        log.error("request failed", exc_info=error)
    body = Problem(
        title="Client Closed Request" if code == 499 else http.HTTPStatus(code).phrase,
        status=code,
        detail=known.message,
        reason=known.reason,
        request_id=request_id,
        metadata=known.metadata,
        violations=[ProblemViolation(field=v.subject, description=v.description) for v in known.violations],
    )
    headers = {}
    if known.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(known.retry_after_s))
    if code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if code == 405 and "allow" in known.metadata:
        headers["Allow"] = known.metadata["allow"]
    return JSONResponse(body.model_dump(by_alias=True), code, headers, MEDIA_TYPE)


def _in_our_words(error: Exception) -> RoomvizError:
    """The failure that the framework tells of."""
    if isinstance(error, RequestValidationError):
        violations = [Violation(_field(e["loc"]), str(e["msg"])) for e in error.errors()[:20]]
        return InvalidArgument("REQUEST_INVALID", "the request is not as documented", violations=violations)
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound("PATH_NOT_FOUND", "there is nothing at this path")
    if isinstance(error, HTTPException) and error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "")
        return InvalidArgument("METHOD_NOT_ALLOWED", "this path does not take this method", {"allow": allow})
    return InvalidArgument("REQUEST_INVALID", "the request cannot be read")


def _field(place: tuple[Any, ...]) -> str:
    path = ""
    for part in place[1:]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path or str(place[0])


def install(app: FastAPI) -> None:
    """Answer what the framework refuses before a route is found with a problem too."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        return problem(error, request.state.request_id)

    app.add_exception_handler(HTTPException, refused)
