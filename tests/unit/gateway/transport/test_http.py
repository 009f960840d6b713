"""The parts of the HTTP API that need no server behind them."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate
from starlette.responses import PlainTextResponse

from roomviz.errors import KINDS, InvalidArgument, PermissionDenied, ResourceExhausted, Unavailable
from roomviz.runtime.context import RequestContext, enter
from services.gateway.openapi import document
from services.gateway.transport.http.edge import Edge
from services.gateway.transport.http.files import Links
from services.gateway.transport.http.multipart import parts
from services.gateway.transport.http.problems import STATUSES, problem
from services.gateway.usecases.visitors import Turnstile, VisitorCases
from tests.conftest import ROOT

BOUNDARY = "frontier"


def body_of(files: list[tuple[str, bytes]]) -> bytes:
    out = b""
    for name, data in files:
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        out += data + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


def request_of(chunks: list[bytes], kind: str = f"multipart/form-data; boundary={BOUNDARY}") -> Request:
    messages = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return messages.pop(0)

    return Request({"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}, receive)


@given(
    files=st.lists(st.tuples(st.text("abc.", min_size=1, max_size=8), st.binary(max_size=300)), min_size=1, max_size=4),
    size=st.integers(1, 90),
)
def test_parts_are_the_same_however_the_body_is_cut(files: list[tuple[str, bytes]], size: int):
    body = body_of(files)

    async def read() -> list[tuple[str, bytes]]:
        cut = [body[i : i + size] for i in range(0, len(body), size)]
        return [(p.file_name, b"".join([c async for c in p.chunks])) async for p in parts(request_of(cut))]

    assert asyncio.run(read()) == files


async def test_what_is_left_of_a_part_is_skipped():
    names = [p.file_name async for p in parts(request_of([body_of([("a", b"x" * 999), ("b", b"y")])]))]

    assert names == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (body_of([("a", b"x")])[:-12], None, "MULTIPART_INVALID"),
        (b"nonsense", None, "MULTIPART_INVALID"),
        (b"", None, "MULTIPART_INVALID"),
        (b"--frontier\r\nContent-Type: text/plain\r\n\r\nx\r\n--frontier--\r\n", None, "MULTIPART_INVALID"),
        (body_of([("a", b"x")] * 65), None, "MULTIPART_INVALID"),
        (b"", "application/json", "MEDIA_TYPE_UNSUPPORTED"),
        (b"", "multipart/form-data", "MEDIA_TYPE_UNSUPPORTED"),
        (b"", f"multipart/form-data; boundary={'x' * 71}", "MULTIPART_INVALID"),
    ],
)
async def test_bodies_that_are_not_multipart_are_refused(body: bytes, kind: str | None, reason: str):
    request = request_of([body], kind) if kind else request_of([body])

    with pytest.raises(InvalidArgument) as caught:
        [p async for p in parts(request)]

    assert caught.value.reason == reason


def test_every_kind_of_failure_has_a_status():
    assert set(STATUSES) == set(KINDS)


def test_a_failure_says_when_to_come_again_and_a_fault_says_nothing_of_itself():
    later = problem(Unavailable("DOWN", "it is down", retry_after_s=2.1), "id")
    fault = problem(ValueError("a secret"), "id")

    assert (later.status_code, later.headers["retry-after"]) == (503, "3")
    assert fault.status_code == 500
    assert b"secret" not in fault.body


def test_a_link_is_worth_nothing_once_it_is_changed_or_late(monkeypatch: pytest.MonkeyPatch):
    now = 1_000_000.0
    monkeypatch.setattr("services.gateway.transport.http.files.time.time", lambda: now)
    links = Links(b"secret", "https://rooms.example", 900)
    link = links.to("rooms/a/photo.png")
    expires, signature = (part.partition("=")[2] for part in link.partition("?")[2].split("&"))
    assert link.startswith("https://rooms.example/api/files/rooms/a/photo.png?")
    assert now + 900 <= int(expires) <= now + 1800

    links.check("rooms/a/photo.png", int(expires), signature)
    for key, until, by in (
        ("rooms/b/photo.png", int(expires), links),
        ("rooms/a/photo.png", int(expires) + 1, links),
        ("rooms/a/photo.png", int(expires), Links(b"another", "", 900)),
    ):
        with pytest.raises(PermissionDenied, match="not given by this server"):
            by.check(key, until, signature)
    now = float(expires) + 1
    with pytest.raises(PermissionDenied, match="for a while only"):
        links.check("rooms/a/photo.png", int(expires), signature)


async def _page(origins: list[str], origin: str, method: str = "GET") -> httpx.Response:
    app = Edge(PlainTextResponse("here"), origins)
    headers = {"Origin": origin} | ({"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.request(method, "/", headers=headers)


async def test_pages_of_known_origins_alone_may_read_answers():
    shop, other = "https://shop.example", "https://other.example"

    assert (await _page([shop], shop)).headers["access-control-allow-origin"] == shop
    assert (await _page(["*"], other)).headers["access-control-allow-origin"] == other
    asked = await _page([shop], shop, "OPTIONS")
    assert asked.status_code == 204
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    for answer in (await _page([shop], other), await _page([], shop), await _page([], shop, "OPTIONS")):
        assert not [h for h in answer.headers if h.startswith("access-control")]
    assert (await _page([shop], other)).headers["vary"] == "Origin"


async def test_a_fault_anywhere_is_a_problem():
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a secret")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Edge(broken, [])), base_url="http://test") as client:
        answer = await client.get("/")

    assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL")
    assert "secret" not in answer.text


def test_an_address_may_pass_a_number_of_times_an_hour(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr("services.gateway.usecases.visitors.time.monotonic", lambda: now)
    turnstile = Turnstile(2)
    for address in ("a", "a", "b"):
        turnstile.take(address)

    with pytest.raises(ResourceExhausted) as caught:
        turnstile.take("a")

    assert caught.value.retry_after_s == 3600
    now = 3600.5
    turnstile.take("a")


async def test_a_server_without_a_public_tenant_has_no_demo():
    nobody: Any = None
    enter(RequestContext("id", "", 0.0))

    with pytest.raises(PermissionDenied) as caught:
        await VisitorCases(nobody, Turnstile(1), "", 60).enter("a")

    assert caught.value.reason == "DEMO_DISABLED"


def test_the_committed_document_is_up_to_date_and_valid():
    """`python -m services.gateway.openapi > docs/openapi.json` writes it."""
    import json

    text = document()

    validate(json.loads(text))
    assert (ROOT / "docs" / "openapi.json").read_text() == text
