"""Posting to URLs of a caller's: a real HTTPS server on this machine, and what must not be reached."""

import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trustme

from roomviz.errors import InvalidArgument
from services.gateway.adapters.poster import Poster, poster
from services.gateway.domain.addresses import Rules, check_literal, target

HERE = Rules(networks=(ipaddress.ip_network("127.0.0.0/8"),))
AUTHORITY = trustme.CA()
TRUST = ssl.create_default_context()
AUTHORITY.configure_trust(TRUST)


class Receiver(http.server.BaseHTTPRequestHandler):
    got: list[tuple[str, bytes, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).got.append((self.path, body, self.headers["webhook-id"]))
        if self.path == "/slow":
            time.sleep(1.5)
        self.send_response({"/moved": 302, "/gone": 410, "/broken": 500}.get(self.path, 200))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"y" * 100_000)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[tuple[int, list[tuple[str, bytes, str]]]]:
    handler = type("Handler", (Receiver,), {"got": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up early
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], handler.got  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


@asynccontextmanager
async def posting(rules: Rules, port: int, limit_s: float = 5.0) -> AsyncIterator[Poster]:
    async with poster(replace(rules, ports=(port, 443)), limit_s, TRUST) as made:
        yield made


async def test_a_post_arrives_and_only_the_beginning_of_the_answer_is_kept(receiver):
    port, got = receiver
    async with posting(HERE, port) as p:
        answer = await p.post(f"https://localhost:{port}/hook", {"webhook-id": "m1"}, b"{}", 1024)

    assert got[-1] == ("/hook", b"{}", "m1")
    assert (answer.status, answer.body, answer.error) == (200, b"y" * 1024, "")


@pytest.mark.parametrize(("path", "status"), [("/moved", 302), ("/gone", 410), ("/broken", 500)])
async def test_no_redirect_is_followed_and_every_status_comes_back(receiver, path, status):
    port, got = receiver
    async with posting(HERE, port) as p:
        answer = await p.post(f"https://localhost:{port}{path}", {}, b"{}", 10)

    assert answer.status == status
    assert got[-1][0] == path


async def test_one_that_is_slow_is_given_up(receiver):
    async with posting(HERE, receiver[0], 0.3) as p:
        answer = await p.post(f"https://localhost:{receiver[0]}/slow", {}, b"{}", 10)

    assert answer.status == 0
    assert "did not answer" in answer.error


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"])
async def test_nothing_inside_is_reached(receiver, host):
    port, got = receiver
    before = len(got)
    async with posting(Rules(), port) as p:
        answer = await p.post(f"https://{host}:{port}/hook", {}, b"{}", 10)

    assert answer.status == 0
    assert "URL_FORBIDDEN" in answer.error or "URL_UNREACHABLE" in answer.error
    assert len(got) == before


async def test_nobody_is_there():
    async with posting(HERE, 1) as p:
        for url in ("https://localhost:1/", "https://no-such-host.invalid/"):
            answer = await p.post(url, {}, b"{}", 10)
            assert answer.status == 0
            assert answer.error


def test_an_address_is_refused_before_it_is_kept():
    for url in ("https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/"):
        with pytest.raises(InvalidArgument):
            check_literal(target(url, Rules()), Rules())
    check_literal(target("https://hooks.example/", Rules()), Rules())
