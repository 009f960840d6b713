"""Services that know each other by certificates: a real server, asked over the network by whom it may and may not answer."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import ValidationError
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from roomviz.errors import FailedPrecondition, PermissionDenied
from roomviz.internal.status.v1 import status_pb2, status_pb2_grpc
from roomviz.runtime import rpc, tls
from roomviz.runtime.health import OPEN_METHODS, Health
from services.catalog.settings import Settings
from services.gateway.transport.http import server as web
from tests.conftest import free_ports

FILES = ("tls_certificate_file", "tls_key_file", "tls_ca_file")


def write(folder: Path, authority: trustme.CA, name: str) -> list[Path]:
    """A service's certificate, its key and its authority, as files."""
    folder.mkdir(exist_ok=True)
    made = authority.issue_cert(name)
    files = [folder / f for f in ("tls.pem", "tls.key", "ca.pem")]
    made.cert_chain_pems[0].write_to_path(files[0])
    made.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    return files


def settings(files: list[Path | None]) -> Settings:
    return Settings(
        postgres_dsn="unused",
        postgres_password_file=Path("unused"),
        s3_endpoint="unused",
        s3_access_key="unused",
        s3_secret_key_file=Path("unused"),
        **dict(zip(FILES, files, strict=True)),
    )


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> list[Path]:
    """The catalogue's."""
    return write(tmp_path / "catalog", authority, "catalog")


async def works() -> str:
    return "1"


def free_address() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


@asynccontextmanager
async def serving(files: list[Path], address: str = "", health: Health | None = None) -> AsyncIterator[str]:
    """A server that only the gateway may call; its address."""
    health = health or Health({})

    def register(server: grpc.aio.Server) -> list[str]:
        status_pb2_grpc.add_StatusServiceServicer_to_server(health, server)
        return []

    address = address or free_address()
    guarded = tls.for_services(settings(files))
    assert guarded is not None
    async with rpc.serve(
        address, register, rpc.trusted_tenant, 5, 0, False, health.servicer, OPEN_METHODS, tls=guarded
    ):
        yield address


async def ask(channel: grpc.aio.Channel) -> str:
    """How the server is, by the status service, which needs no tenant."""
    async with channel:
        try:
            answer = await status_pb2_grpc.StatusServiceStub(channel).GetStatus(
                status_pb2.GetStatusRequest(), timeout=10
            )
        except grpc.aio.AioRpcError as error:
            raise rpc.from_call(error) from error
        return answer.version


def called_by(address: str, files: list[Path], name: str = "catalog") -> grpc.aio.Channel:
    return rpc.channel(address, name, tls.Certificate(*files))


async def test_who_may_call_is_answered(tmp_path: Path, files: list[Path], authority: trustme.CA):
    async with serving(files) as address:
        assert await ask(called_by(address, write(tmp_path / "gateway", authority, "gateway")))


async def test_calls_are_shared_among_all_servers_behind_a_name(
    tmp_path: Path, files: list[Path], authority: trustme.CA
):
    gateway = write(tmp_path / "gateway", authority, "gateway")
    ports, answered = free_ports(2), set()
    async with AsyncExitStack() as stack:
        for port in ports:
            health = await stack.enter_async_context(Health({str(port): works}).running())
            await stack.enter_async_context(serving(files, f"127.0.0.1:{port}", health))
        address = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        channel = await stack.enter_async_context(called_by(address, gateway))
        stub = status_pb2_grpc.StatusServiceStub(channel)
        async with asyncio.timeout(20):
            while len(answered) < 2:
                answer = await stub.GetStatus(status_pb2.GetStatusRequest(), timeout=10)
                answered |= {check.dependency for check in answer.checks}


async def test_plaintext_is_refused(files: list[Path]):
    async with serving(files) as address:
        with pytest.raises(rpc.errors.Unavailable):
            await ask(rpc.channel(address, "catalog", None))


async def test_a_caller_without_a_certificate_is_refused(files: list[Path], authority: trustme.CA):
    async with serving(files) as address:
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        channel = grpc.aio.secure_channel(address, credentials, [("grpc.ssl_target_name_override", "catalog")])
        with pytest.raises(rpc.errors.Unavailable):
            await ask(channel)


async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, files: list[Path]):
    stranger = write(tmp_path / "gateway", trustme.CA(key_type=trustme.KeyType.ECDSA), "gateway")
    async with serving(files) as address:
        with pytest.raises(rpc.errors.Unavailable):
            await ask(called_by(address, [*stranger[:2], files[2]]))


async def test_a_service_that_is_not_among_the_callers_is_refused_but_may_ask_for_health(
    tmp_path: Path, files: list[Path], authority: trustme.CA
):
    own = write(tmp_path / "segmentation", authority, "segmentation")
    async with serving(files) as address:
        with pytest.raises(PermissionDenied, match="segmentation may not call this service") as refused:
            await ask(called_by(address, own))

        assert refused.value.reason == "CALLER_NOT_ALLOWED"
        async with called_by(address, own) as channel:
            request = health_pb2.HealthCheckRequest()
            assert await health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)


async def test_a_caller_believes_no_service_of_another_name(tmp_path: Path, files: list[Path], authority: trustme.CA):
    gateway = write(tmp_path / "gateway", authority, "gateway")
    async with serving(files) as address:
        with pytest.raises(rpc.errors.Unavailable):
            await ask(called_by(address, gateway, "compositor"))


async def test_a_server_takes_up_new_certificates_while_it_serves(
    tmp_path: Path, files: list[Path], authority: trustme.CA
):
    before = write(tmp_path / "gateway", authority, "gateway")
    other = trustme.CA(key_type=trustme.KeyType.ECDSA)
    after = write(tmp_path / "gateway-after", other, "gateway")
    async with serving(files) as address:
        assert await ask(called_by(address, before))

        write(files[0].parent, other, "catalog")

        assert await ask(called_by(address, after))
        with pytest.raises(rpc.errors.Unavailable):
            await ask(called_by(address, before))


async def test_a_caller_takes_up_new_certificates_while_it_calls(
    tmp_path: Path, files: list[Path], authority: trustme.CA
):
    gateway = write(tmp_path / "gateway", authority, "gateway")
    other = trustme.CA(key_type=trustme.KeyType.ECDSA)
    address = free_address()
    async with called_by(address, gateway) as channel:
        stub, request = status_pb2_grpc.StatusServiceStub(channel), status_pb2.GetStatusRequest()
        async with serving(files, address):
            assert await stub.GetStatus(request, timeout=10)

        write(files[0].parent, other, "catalog")
        write(gateway[0].parent, other, "gateway")

        async with serving(files, address):
            assert await stub.GetStatus(request, timeout=30, wait_for_ready=True)


async def test_a_rotation_in_the_middle_leaves_the_old_certificate_serving(
    tmp_path: Path, files: list[Path], authority: trustme.CA
):
    gateway = write(tmp_path / "gateway", authority, "gateway")
    async with serving(files) as address:
        files[1].write_bytes(authority.issue_cert("catalog").private_key_pem.bytes())

        assert await ask(called_by(address, gateway))


@pytest.mark.parametrize("missing", range(3))
def test_half_a_setting_is_refused_at_the_start(files: list[Path], missing: int):
    some = [None if i == missing else f for i, f in enumerate(files)]

    with pytest.raises(ValidationError, match=f"ROOMVIZ_{FILES[missing].upper()} must be set too"):
        settings(some)


def test_a_file_that_is_not_there_is_refused_at_the_start(files: list[Path]):
    with pytest.raises(ValidationError, match="tls_key_file"):
        settings([files[0], files[0].parent / "none", files[2]])


def test_a_key_of_another_certificate_is_refused_at_the_start(files: list[Path], authority: trustme.CA):
    files[1].write_bytes(authority.issue_cert("catalog").private_key_pem.bytes())

    with pytest.raises(FailedPrecondition, match="not a certificate and its key") as refused:
        tls.for_services(settings(files))

    assert refused.value.reason == "TLS_FILES_INVALID"


def test_without_files_services_speak_plaintext():
    assert tls.for_services(settings([None] * 3)) is None


async def test_an_http_server_shows_its_certificate_and_takes_up_a_new_one(tmp_path: Path, authority: trustme.CA):
    async def hello(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("hello")(scope, receive, send)

    port = free_ports(1)[0]
    certificate = tls.Certificate(*write(tmp_path / "public", authority, "localhost")[:2])
    believed, later = ssl.create_default_context(), trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.configure_trust(believed)

    async def answer() -> str:
        # A connection of its own: one that is open keeps what it began with.
        async with httpx.AsyncClient(verify=believed) as client:
            return (await client.get(f"https://localhost:{port}/")).text

    async with web.serve(hello, "localhost", port, 1, (), certificate.context()):
        assert await answer() == "hello"
        write(tmp_path / "public", later, "localhost")
        with pytest.raises(httpx.ConnectError, match="verify"):
            await answer()
        later.configure_trust(believed)
        assert await answer() == "hello"
        (tmp_path / "public" / "tls.pem").write_text("half of it")
        assert await answer() == "hello"
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://localhost:{port}/")
