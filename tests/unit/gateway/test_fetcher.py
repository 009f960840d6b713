"""Fetching from URLs of a caller's: real HTTPS servers on this machine, and addresses that must not be reached."""

import asyncio
import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pytest
import trustme

from roomviz.errors import FailedPrecondition, InvalidArgument
from services.gateway.adapters.fetcher import Fetcher, fetcher
from services.gateway.domain.addresses import Rules, check_addresses, target

HERE = Rules(networks=(ipaddress.ip_network("127.0.0.0/8"),))
BYTES_MAX = 100_000


class Pages(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(f"{self.headers['Host']}{self.path}")
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/again":
            self.send_response(302)
            self.send_header("Location", "/again")
            self.end_headers()
        elif self.path == "/missing":
            self.send_error(404)
        elif self.path == "/slow":
            time.sleep(1.5)
        else:
            body = b"x" * (BYTES_MAX + 1 if "large" in self.path else 1000)
            self.send_response(200)
            if self.path != "/large-untold":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


AUTHORITY = trustme.CA()
TRUST = ssl.create_default_context()
AUTHORITY.configure_trust(TRUST)


@contextmanager
def serving(name: str) -> Iterator[tuple[int, list[str]]]:
    """A server with a certificate for this name: its port, and what it was asked."""
    handler = type("Handler", (Pages,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name).configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], handler.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[int, list[str]]]:
    with serving("localhost") as made:
        yield made


@asynccontextmanager
async def fetching(rules: Rules, port: int, limit_s: float = 5.0) -> AsyncIterator[Fetcher]:
    async with fetcher(replace(rules, ports=(port, 443, 80)), BYTES_MAX, limit_s, TRUST) as made:
        yield made


async def test_what_lies_there(shop: tuple[int, list[str]]) -> None:
    port, asked = shop
    async with fetching(HERE, port) as f:
        assert await f.fetch(f"https://localhost:{port}/pattern.png?size=2") == b"x" * 1000
        assert asked[-1] == f"localhost:{port}/pattern.png?size=2"
        assert await f.fetch(f"https://localhost:{port}/to//pattern.png") == b"x" * 1000


@pytest.mark.parametrize("path", ["large", "large-untold"])
async def test_too_large(shop: tuple[int, list[str]], path: str) -> None:
    async with fetching(HERE, shop[0]) as f:
        with pytest.raises(InvalidArgument) as failed:
            await f.fetch(f"https://localhost:{shop[0]}/{path}")
    assert failed.value.reason == "URL_TOO_LARGE"


@pytest.mark.parametrize("path", ["missing", "again", "slow"])
async def test_unreachable(shop: tuple[int, list[str]], path: str) -> None:
    async with fetching(HERE, shop[0], 0.5) as f:
        with pytest.raises(FailedPrecondition) as failed:
            await f.fetch(f"https://localhost:{shop[0]}/{path}")
    assert failed.value.reason == "URL_UNREACHABLE"


async def test_nobody_listens() -> None:
    async with fetching(HERE, 1) as f:
        with pytest.raises(FailedPrecondition, match="cannot be fetched"):
            await f.fetch("https://localhost:1/")
        with pytest.raises(FailedPrecondition, match="no address"):
            await f.fetch("https://no-such-host.invalid/")


async def test_certificate_of_another() -> None:
    with serving("shop.example") as (port, asked):
        async with fetching(HERE, port) as f:
            with pytest.raises(FailedPrecondition) as failed:
                await f.fetch(f"https://localhost:{port}/")
    assert failed.value.reason == "URL_UNREACHABLE"
    assert asked == []


INSIDE = ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]"]


@pytest.mark.parametrize("host", INSIDE)
async def test_nothing_inside_is_reached(shop: tuple[int, list[str]], host: str) -> None:
    """However the address of this machine is written, and whether it is asked at once or after a redirect."""
    port, asked = shop
    before = len(asked)
    async with fetching(Rules(), port) as f:
        with pytest.raises((InvalidArgument, FailedPrecondition)) as failed:
            await f.fetch(f"https://{host}:{port}/")
    assert failed.value.reason in ("URL_FORBIDDEN", "URL_UNREACHABLE")
    assert len(asked) == before


@pytest.mark.parametrize(
    "to", ["https://10.0.0.1/", "http://localhost/", "https://169.254.169.254/latest", "file:///etc/passwd"]
)
async def test_redirects_are_looked_at(shop: tuple[int, list[str]], to: str) -> None:
    async with fetching(HERE, shop[0]) as f:
        with pytest.raises(InvalidArgument) as failed:
            await f.fetch(f"https://localhost:{shop[0]}/to/{to}")
    assert failed.value.reason == "URL_FORBIDDEN"


FOREIGN = [
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "255.255.255.255",
    "0.0.0.0",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2002:a00:1::",
    "2001:db8::1",
    "2001:0:5ef5:79fd:0:0:f5ff:fffe",
]


@pytest.mark.parametrize("address", FOREIGN)
def test_addresses_that_are_not_public(address: str) -> None:
    with pytest.raises(InvalidArgument):
        check_addresses("shop.example", [address], Rules())
    # One bad one among good ones is enough.
    with pytest.raises(InvalidArgument):
        check_addresses("shop.example", ["93.184.215.14", address], Rules())


def test_addresses_that_are() -> None:
    check_addresses(
        "shop.example", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"], Rules()
    )
    check_addresses("store", ["10.1.2.3"], Rules(networks=(ipaddress.ip_network("10.1.0.0/16"),)))


BAD = [
    "http://shop.example/",
    "ftp://shop.example/",
    "https://u:p@shop.example/",
    "https://u@shop.example/",
    "https://shop.example:22/",
    "https://shop.example:99999/",
    "https:///x",
    "shop.example",
    "/x",
    "https://",
]


@pytest.mark.parametrize(
    "url",
    [
        *BAD,
        "",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://ä.example/",
        "https://x.example/" + "a" * 2048,
    ],
)
def test_urls_that_are_not_taken(url: str) -> None:
    with pytest.raises(InvalidArgument) as failed:
        target(url, Rules())
    assert failed.value.reason in ("URL_INVALID", "URL_FORBIDDEN")


def test_hosts_allowed() -> None:
    rules = Rules(hosts=("shop.example",))
    assert target("https://img.SHOP.example./x", rules).host == "img.shop.example"
    for host in ("evil.example", "notshop.example", "shop.example.evil.example"):
        with pytest.raises(InvalidArgument):
            target(f"https://{host}/", rules)


async def test_many_at_once(shop: tuple[int, list[str]]) -> None:
    async with fetching(HERE, shop[0]) as f:
        answers = await asyncio.gather(*(f.fetch(f"https://localhost:{shop[0]}/{k}") for k in range(24)))
    assert {len(a) for a in answers} == {1000}
