"""gRPC, the same for every service: the server with its one interceptor, and calls to other services."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from typing import Any

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from roomviz import errors
from roomviz.runtime import context
from roomviz.runtime.metrics import RPC_SECONDS
from roomviz.runtime.parsing import ParsingInterceptor
from roomviz.runtime.tls import Certificate, RenewedChannel, ServerTls, check_caller

log = structlog.get_logger()

DOMAIN = "roomviz.dev"
MESSAGE_BYTES_MAX = 64 << 20
CHUNK_BYTES = 1 << 20
CONNECTION_MS = 300_000  # gRPC itself adds or takes up to a tenth, so that not all end at once
_REFUSED = ("RESOURCE_EXHAUSTED", "UNAVAILABLE")

# Gives the tenant of a call from its method and metadata, or refuses it: before the request is looked at.
Identify = Callable[[str, Mapping[str, str]], Awaitable[str]]
# Lets a call of a tenant wait for its turn, or refuses it; gives trailing metadata to answer with.
Admit = Callable[[str, str], AbstractAsyncContextManager[Sequence[tuple[str, str]]]]


def admit_all(method: str, tenant: str) -> AbstractAsyncContextManager[Sequence[tuple[str, str]]]:
    """No queue: for services that the gateway alone calls."""
    return nullcontext(())


async def trusted_tenant(method: str, metadata: Mapping[str, str]) -> str:
    """The tenant that the gateway vouches for: services behind it are reached by it alone."""
    tenant = metadata.get(context.TENANT, "")
    if not tenant:
        raise errors.Unauthenticated("TENANT_MISSING", "the call carries no tenant")
    return tenant


def to_status(error: BaseException) -> status_pb2.Status:
    """The status of a failure. What we did not expect says nothing of itself to the caller."""
    error = errors.unwrap(error)
    if isinstance(error, TimeoutError):
        error = errors.DeadlineExceeded("DEADLINE_EXCEEDED", "the deadline passed before the work was done")
    if isinstance(error, NotImplementedError):  # what generated servicers raise
        error = errors.Unimplemented("RPC_NOT_OFFERED", "this call is not offered")
    if not isinstance(error, errors.RoomvizError):
        error = errors.Internal("INTERNAL", "an internal error; quote the request id to support")
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if error.retryable or error.retry_after_s is not None:
        seconds = error.retry_after_s or 1.0
        delay = duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.violations and isinstance(error, errors.ResourceExhausted):
        quota = [error_details_pb2.QuotaFailure.Violation(**vars(v)) for v in error.violations]
        details.append(error_details_pb2.QuotaFailure(violations=quota))
    elif error.violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=v.subject, description=v.description)
            for v in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    status = status_pb2.Status(code=code_pb2.Code.Value(error.kind), message=error.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def from_status(status: status_pb2.Status) -> errors.RoomvizError:
    """The failure that a status tells of."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    bad, quota = error_details_pb2.BadRequest(), error_details_pb2.QuotaFailure()
    delay, violations = None, []
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(retry.DESCRIPTOR):
            detail.Unpack(retry)
            delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
            violations += [errors.Violation(v.field, v.description) for v in bad.field_violations]
        elif detail.Is(quota.DESCRIPTOR):
            detail.Unpack(quota)
            violations += [errors.Violation(v.subject, v.description) for v in quota.violations]
    name = code_pb2.Code.Name(status.code)
    kind = errors.KINDS.get(name, errors.Internal)
    return kind(info.reason or name, status.message, dict(info.metadata), delay, violations)


def from_call(error: grpc.aio.AioRpcError) -> errors.RoomvizError:
    """The failure that a call ended with."""
    rich = rpc_status.from_call(error)
    if rich is not None:
        return from_status(rich)
    name = error.code().name
    kind = errors.KINDS.get(name, errors.Internal)
    if kind is errors.Unavailable:  # gRPC's own words list every address it tried
        return kind("SERVER_UNREACHABLE", "the server cannot be reached")
    return kind(name, error.details() or name)


class EdgeInterceptor(grpc.aio.ServerInterceptor):
    """Request id, tenant, deadline, metrics, one log line and error mapping for every call."""

    def __init__(
        self,
        identify: Identify,
        default_deadline_s: float,
        open_methods: frozenset[str] = frozenset(),
        longer: Mapping[str, float] | None = None,
        callers: frozenset[str] | None = None,
        admit: Admit = admit_all,
    ):
        self._admit = admit
        self._identify, self._default, self._open = identify, default_deadline_s, open_methods
        self._longer = dict(longer or {})
        self._callers = callers

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        method = details.method
        if method == "/grpc.health.v1.Health/Watch":
            return None  # needs no key and never ends: whoever wants to know may ask again
        if handler is None or method.startswith("/grpc."):
            return handler
        if handler.response_streaming:
            wrap = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            inner = handler.stream_stream or handler.unary_stream

            async def stream(request: Any, rpc: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
                async with self.call(method, rpc), aclosing(inner(request, rpc)) as answers:
                    async for item in answers:
                        yield item

            return wrap(stream, handler.request_deserializer, handler.response_serializer)
        wrap = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        inner = handler.stream_unary or handler.unary_unary

        async def single(request: Any, rpc: grpc.aio.ServicerContext) -> Any:
            async with self.call(method, rpc):
                return await inner(request, rpc)

        return wrap(single, handler.request_deserializer, handler.response_serializer)

    @asynccontextmanager
    async def call(
        self, method: str, rpc: grpc.aio.ServicerContext, receive: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[None]:
        """Around the answer to one call. `receive` takes the request of a caller who may call, before its turn is waited
        for, where that is not done already."""
        began = time.monotonic()
        metadata = {k: v if isinstance(v, str) else "" for k, v in rpc.invocation_metadata() or ()}
        request_id = metadata.get(context.REQUEST_ID, "")[:64] or context.new_request_id()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        remaining = rpc.time_remaining()
        longest = self._longer.get(method, self._default)
        budget = min(longest, remaining) if remaining is not None else longest
        code, admitted = "OK", False
        try:
            async with asyncio.timeout(budget):
                if self._callers is not None:
                    check_caller(rpc.auth_context(), self._callers)
                tenant = "" if method in self._open else await self._identify(method, metadata)
                structlog.contextvars.bind_contextvars(tenant=tenant)
                context.enter(
                    context.RequestContext(
                        request_id,
                        tenant,
                        began + budget,
                        metadata.get(context.TRACEPARENT, ""),
                        context.BACKGROUND in metadata,
                    )
                )
                if receive is not None:
                    await receive()
                async with self._admit(method, tenant) as trailing:
                    admitted = True
                    rpc.set_trailing_metadata(((context.REQUEST_ID, request_id), *trailing))
                    yield
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = "ABORTED"
            raise
        except Exception as error:
            status = to_status(error)
            code = code_pb2.Code.Name(status.code)
            if code == "INTERNAL":
                log.exception("call failed", method=method)
            rich = rpc_status.to_status(status)
            trailing = ((context.REQUEST_ID, request_id), *_rate_limit(error), *rich.trailing_metadata)
            rpc.set_trailing_metadata(trailing)
            await rpc.abort(rich.code, rich.details, trailing)
        finally:
            took = time.monotonic() - began
            RPC_SECONDS.labels(method, code).observe(took)
            # A flood that is refused must not be one of the log: metrics count it.
            tell = log.info if admitted or code not in _REFUSED else log.debug
            tell("call", method=method, code=code, seconds=round(took, 4))


def _rate_limit(error: BaseException) -> Sequence[tuple[str, str]]:
    """`ratelimit-limit`, `-remaining` and `-reset` of a refusal that knows them (draft-ietf-httpapi-ratelimit-headers-07)."""
    told = getattr(errors.unwrap(error), "metadata", {})
    return [(f"ratelimit-{k}", told[k]) for k in ("limit", "remaining", "reset") if k in told and "quota" in told]


Register = Callable[[grpc.aio.Server], list[str]]


@asynccontextmanager
async def serve(
    address: str,
    register: Register,
    identify: Identify,
    default_deadline_s: float,
    grace_s: float,
    reflect: bool,
    servicer: health.aio.HealthServicer,
    open_methods: frozenset[str] = frozenset(),
    longer: Mapping[str, float] | None = None,
    tls: ServerTls | None = None,
    admit: Admit = admit_all,
    calls_max: int = 512,
    streams_max: int = 0,
) -> AsyncIterator[grpc.aio.Server]:
    """A started server; `longer` names methods that may take longer than the default. Without `tls` it speaks plaintext.
    Beyond `calls_max` calls at a time gRPC itself refuses, without saying when to come back: `admit` refuses before.
    `streams_max` calls of one connection are open at a time (0: any number); more wait at the caller, which costs the server
    nothing.

    Leaving stops taking calls and lets running ones finish within the grace.
    """
    server = grpc.aio.server(
        interceptors=[
            EdgeInterceptor(identify, default_deadline_s, open_methods, longer, tls.callers if tls else None, admit),
            ParsingInterceptor(),
        ],
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.so_reuseport", 0),
            *([("grpc.max_concurrent_streams", streams_max)] if streams_max else []),
            ("grpc.http.overload_protection", 0),
            # Callers look for servers again when a connection ends: so they find those that were added. Calls go on.
            ("grpc.max_connection_age_ms", CONNECTION_MS),
        ],
        maximum_concurrent_rpcs=calls_max,
    )
    names = register(server)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if reflect:
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    if tls is None:
        server.add_insecure_port(address)
    else:
        server.add_secure_port(address, tls.credentials)
    await server.start()
    try:
        yield server
    finally:
        await servicer.enter_graceful_shutdown()
        await server.stop(grace_s)


def shared(address: str) -> list[tuple[str, Any]]:
    """Options of a channel that shares its calls among all servers of an address with a scheme (`dns:///catalog:8453`,
    `ipv4:10.0.0.1:8453,10.0.0.2:8453`). One without a scheme is one server's: round robin would refuse calls until its next
    try, up to two seconds after that server is back.
    """
    return [("grpc.lb_policy_name", "round_robin")] if address.startswith(("dns:", "ipv4:", "ipv6:")) else []


def channel(address: str, name: str, certificate: Certificate | None) -> grpc.aio.Channel:
    """A channel to another service, which must show that it is `name`; plaintext without a certificate of our own."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        *shared(address),
    ]
    if certificate is None:
        return grpc.aio.insecure_channel(address, options)
    options.append(("grpc.ssl_target_name_override", name))
    return RenewedChannel(certificate, lambda credentials: grpc.aio.secure_channel(address, credentials, options))


async def invoke(method: Any, request: Any) -> Any:
    """Call another service for the request being served: its ids and what is left of its deadline go along."""
    timeout, metadata = _passed_on()
    try:
        return await method(request, timeout=timeout, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        raise from_call(error) from error


async def invoke_for_stream(method: Any, request: Any) -> AsyncIterator[Any]:
    """As `invoke`, for a call that answers with a stream; whoever stops reading ends the call."""
    timeout, metadata = _passed_on()
    call = method(request, timeout=timeout, metadata=metadata)
    try:
        async for item in call:
            yield item
    except grpc.aio.AioRpcError as error:
        raise from_call(error) from error
    finally:
        call.cancel()


async def invoke_with_stream(method: Any, requests: AsyncIterator[Any]) -> Any:
    """As `invoke`, for a call that takes a stream; what goes wrong with the requests goes on to the caller."""
    timeout, metadata = _passed_on()
    call = method(timeout=timeout, metadata=metadata)
    try:
        async for request in requests:
            try:
                await call.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                break  # it was answered already; how, the call itself tells
        else:
            await call.done_writing()
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_call(error) from error
    finally:
        call.cancel()  # which does nothing to one that is over


def _passed_on() -> tuple[float, list[tuple[str, str]]]:
    """What is left of the deadline, and the metadata that go along."""
    here = context.current()
    if here.remaining_s <= 0:
        raise errors.DeadlineExceeded("DEADLINE_EXCEEDED", "the deadline passed before the work was done")
    metadata = [(context.REQUEST_ID, here.request_id), (context.TENANT, here.tenant)]
    if here.background:
        metadata.append((context.BACKGROUND, "1"))
    if here.traceparent:
        metadata.append((context.TRACEPARENT, here.traceparent))
    return here.remaining_s, metadata
