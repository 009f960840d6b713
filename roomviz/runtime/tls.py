"""TLS: who a service is, whom it lets call, and certificates that are read again when their files change.

A service is known by its name, which is a DNS name in its certificate: callers look for the name and not for the
address, and a service admits callers by name. The files are PEM; without any of them all is plaintext.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
import structlog

from roomviz.errors import FailedPrecondition, PermissionDenied
from roomviz.runtime.settings import ServiceSettings

log = structlog.get_logger()

_LEAVE_S = 600.0  # for the calls that run on a channel whose certificate was renewed


@dataclass(frozen=True)
class ServerTls:
    """How a server is reached: `callers` are the names of those who may call it; None: anybody may."""

    credentials: grpc.ServerCredentials
    callers: frozenset[str] | None = None


class Certificate:
    """A certificate (with its chain) and its key, and the authorities that those on the other side must be known to."""

    def __init__(self, certificate: Path, key: Path, authorities: Path | None = None):
        self._files = (certificate, key, authorities)
        self._stamp = self._stamped()
        (self._pems, self._context), self._version = self._read(), 1

    def server(self) -> grpc.ServerCredentials:
        """For a server; where there are authorities, whoever connects must show a certificate of theirs."""
        served = self._version

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """gRPC asks for it at every connection, in a thread of its own; None: nothing changed."""
            nonlocal served
            if self.version() == served:
                return None
            served = self._version
            return self._configuration()

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            renewed,  # type: ignore[arg-type]  # the stubs do not know that None means no change
            require_client_authentication=self._files[2] is not None,
        )

    def context(self) -> ssl.SSLContext:
        """For an HTTP server, which shows the certificate to whoever connects, and asks for none."""

        def renewed(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            """Called at every connection, whether or not it asks for a name."""
            self.version()
            connection.context = self._context

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = renewed
        return context

    def channel(self) -> grpc.ChannelCredentials:
        """For a channel, as the files are now: gRPC keeps what a channel begins with."""
        certificate, key, authorities = self._pems
        return grpc.ssl_channel_credentials(authorities, key, certificate)

    def version(self) -> int:
        """How often the files have been read. They are read again here, if they are others than before, and sound."""
        try:
            stamp = self._stamped()
            if stamp != self._stamp:
                # Looked at before they are read: what changes in between is seen the next time.
                self._stamp, (self._pems, self._context), self._version = stamp, self._read(), self._version + 1
                log.info("certificate renewed", file=str(self._files[0]))
        except (
            OSError,
            FailedPrecondition,
        ) as error:  # a rotation in the middle, or a wrong one: the old ones serve on
            log.warning("certificate not renewed", error=str(error))
        return self._version

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, authorities = self._pems
        return grpc.ssl_server_certificate_configuration([(key, certificate)], authorities)

    def _stamped(self) -> tuple[tuple[int, int, int], ...]:
        found = [os.stat(f) for f in self._files if f is not None]
        return tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in found)

    def _read(self) -> tuple[tuple[bytes, bytes, bytes | None], ssl.SSLContext]:
        certificate, key, authorities = self._files
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            if authorities is not None:
                context.load_verify_locations(authorities)
        except ssl.SSLError as error:
            raise FailedPrecondition(
                "TLS_FILES_INVALID",
                f"{certificate} and {key} are not a certificate and its key, or {authorities} no authorities: {error}",
            ) from error
        pems = certificate.read_bytes(), key.read_bytes(), authorities.read_bytes() if authorities else None
        return pems, context


class RenewedChannel(grpc.aio.Channel):
    """A channel that calls go through a new one as soon as the caller's certificate is a new one."""

    def __init__(self, certificate: Certificate, opened: Callable[[grpc.ChannelCredentials], grpc.aio.Channel]):
        self._certificate, self._opened = certificate, opened
        self._version, self._now = certificate.version(), opened(certificate.channel())
        self._leaving: set[asyncio.Task[None]] = set()

    def _channel(self) -> grpc.aio.Channel:
        version = self._certificate.version()
        if version != self._version:
            leaving = asyncio.create_task(self._now.close(_LEAVE_S))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            self._version, self._now = version, self._opened(self._certificate.channel())
        return self._now

    # What a stub gets, and keeps, chooses the channel when it is called.

    def unary_unary(self, *method: Any, **how: Any) -> Any:
        return lambda *call, **options: self._channel().unary_unary(*method, **how)(*call, **options)

    def unary_stream(self, *method: Any, **how: Any) -> Any:
        return lambda *call, **options: self._channel().unary_stream(*method, **how)(*call, **options)

    def stream_unary(self, *method: Any, **how: Any) -> Any:
        return lambda *call, **options: self._channel().stream_unary(*method, **how)(*call, **options)

    def stream_stream(self, *method: Any, **how: Any) -> Any:
        return lambda *call, **options: self._channel().stream_stream(*method, **how)(*call, **options)

    async def close(self, grace: float | None = None) -> None:
        for leaving in self._leaving:
            leaving.cancel()
        await self._now.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel().channel_ready()


def own_certificate(settings: ServiceSettings) -> Certificate | None:
    """The certificate by which other services know this one; None where they speak plaintext."""
    if settings.tls_certificate_file and settings.tls_key_file and settings.tls_ca_file:
        return Certificate(settings.tls_certificate_file, settings.tls_key_file, settings.tls_ca_file)
    return None


def for_services(settings: ServiceSettings) -> ServerTls | None:
    """For a server that only services call; None where they speak plaintext."""
    certificate = own_certificate(settings)
    return ServerTls(certificate.server(), frozenset(settings.tls_callers)) if certificate else None


def check_caller(auth_context: Mapping[str, Iterable[bytes]], callers: frozenset[str]) -> None:
    """Refuse a caller whose certificate, verified before, has none of these names.

    Raises:
        PermissionDenied: CALLER_NOT_ALLOWED.
    """
    names = {name.decode(errors="replace") for name in auth_context.get("x509_subject_alternative_name", ())}
    if not names & callers:
        told = ", ".join(sorted(names)) or "a caller without a name"
        raise PermissionDenied("CALLER_NOT_ALLOWED", f"{told} may not call this service")
