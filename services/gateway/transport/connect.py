"""The public RPCs over the Connect protocol, for browsers: the servicers of gRPC, behind the same gate.

`connect-python` speaks the protocol (JSON and binary, streams in envelopes, time limits); its endpoints are made here
from the handlers that are registered for gRPC. Compression is off: a small body could become a large one.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, status_pb2
from starlette.types import Message, Receive, Scope, Send

from roomviz import errors
from roomviz.runtime.context import REQUEST_ID
from roomviz.runtime.rpc import CHUNK_BYTES, EdgeInterceptor, Identify, Register, to_status
from services.gateway.transport.http.problems import problem

MESSAGE_BYTES_MAX = CHUNK_BYTES + 65_536
_STATUS = "grpc-status-details-bin"


class _Handlers:
    """Stands where a gRPC server does while servicers are registered, and keeps their handlers."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same handlers once more, in an older shape."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]) -> None:
        self.found |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


class _Call:
    """What the interceptor and the servicers ask of a call, told by a Connect request."""

    def __init__(self, context: Any):
        self._context = context

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._context.request_headers().allitems())

    def time_remaining(self) -> float | None:
        left = self._context.timeout_ms()
        return None if left is None else max(0.0, float(left) / 1000)

    def peer(self) -> str:
        """As gRPC tells it: `ipv4:192.0.2.1:50000`."""
        host, _, port = str(self._context.client_address() or "").rpartition(":")
        return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"

    def set_trailing_metadata(self, trailing: Any) -> None:
        """The request id is among the headers, a status in the body."""

    async def abort(self, code: Any, details: str, trailing: Any) -> NoReturn:
        raise _refusal(status_pb2.Status.FromString(dict(trailing)[_STATUS]))


def _refusal(status: Any) -> ConnectError:
    name = code_pb2.Code.Name(status.code)
    return ConnectError(Code.CANCELED if name == "CANCELLED" else Code[name], status.message, status.details)


class _Application(ConnectASGIApplication[None]):
    path = ""


class Connect:
    """An ASGI application for `POST /{package.Service}/{Method}`.

    `register` adds the servicers to a server; `identify` lets a caller in, and `edge` does what it does for gRPC.
    """

    def __init__(
        self, services: Iterable[ServiceDescriptor], register: Register, identify: Identify, edge: EdgeInterceptor
    ):
        handlers = _Handlers()
        register(handlers)  # type: ignore[arg-type]
        self._identify, self._edge = identify, edge
        methods = {f"/{s.full_name}/{m.name}": m for s in services for m in s.methods}
        self._endpoints = {
            path: self._endpoint(path, method, handlers.found[path])
            for path, method in methods.items()
            if path in handlers.found
        }
        # Bodies of one message are bounded as a whole; streams by the message, and by the servicers.
        self._bounded = {path for path, handler in handlers.found.items() if not handler.request_streaming}
        self._app = _Application(
            service=None, endpoints=lambda _: self._endpoints, read_max_bytes=MESSAGE_BYTES_MAX, compressions=()
        )

    def knows(self, path: str) -> bool:
        return path in self._endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, request_id = scope["path"], scope["state"]["request_id"]
        sent = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        scope["state"]["route"] = "connect"
        if sent.get("content-type", "").startswith("application/grpc"):
            wrong = errors.InvalidArgument("MEDIA_TYPE_UNSUPPORTED", "this port speaks Connect; gRPC has its own")
            await problem(wrong, request_id)(scope, receive, send)
            return
        let_in, size = False, 0

        async def gated() -> Message:
            """The body, once the caller is let in."""
            nonlocal let_in, size
            if not let_in:
                try:
                    await self._identify(path, sent)
                except Exception as error:
                    raise _refusal(to_status(error)) from error
                let_in = True
            message = await receive()
            size += len(message.get("body", b""))
            if size > MESSAGE_BYTES_MAX and path in self._bounded:
                raise ConnectError(Code.RESOURCE_EXHAUSTED, f"a message has at most {MESSAGE_BYTES_MAX} bytes")
            return message

        headers = [h for h in scope["headers"] if h[0] != REQUEST_ID.encode()]
        headers.append((REQUEST_ID.encode(), request_id.encode()))
        asgi: Any = self._app
        await asgi({**scope, "headers": headers}, gated, send)

    def _endpoint(self, path: str, method: MethodDescriptor, handler: Any) -> Any:
        info: Any = MethodInfo(
            name=method.name,
            service_name=method.containing_service.full_name,
            input=GetMessageClass(method.input_type),
            output=GetMessageClass(method.output_type),
            idempotency_level=IdempotencyLevel.UNKNOWN,
        )
        takes_stream = handler.request_streaming
        if handler.response_streaming:
            answers = handler.stream_stream or handler.unary_stream

            async def stream(request: Any, context: RequestContext) -> AsyncIterator[Any]:
                rpc: Any = _Call(context)
                asked = _requests(request) if takes_stream else request
                async with self._edge.call(path, rpc), aclosing(answers(asked, rpc)) as given:
                    async for item in given:
                        yield item

            return (Endpoint.bidi_stream if takes_stream else Endpoint.server_stream)(info, stream)
        answer = handler.stream_unary or handler.unary_unary

        async def single(request: Any, context: RequestContext) -> Any:
            rpc: Any = _Call(context)
            async with self._edge.call(path, rpc):
                return await answer(_requests(request) if takes_stream else request, rpc)

        return (Endpoint.client_stream if takes_stream else Endpoint.unary)(info, single)


async def _requests(stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The messages of a body; what is wrong with it, in our words."""
    try:
        async for message in stream:
            yield message
    except ConnectError as error:
        kind = errors.KINDS.get(error.code.name, errors.InvalidArgument)
        raise kind("MESSAGE_INVALID", error.message) from error
