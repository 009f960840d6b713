"""The public RPCs over the Connect protocol, for browsers: the handlers of gRPC, behind the same gate.

`POST /{package.Service}/{Method}` with a message as JSON or in binary; streams are messages in envelopes. Compression is
not offered: a small body could become a large one. Protocol: https://connectrpc.com/docs/protocol.
"""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, status_pb2
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from roomviz.errors import InvalidArgument, ResourceExhausted, Unimplemented
from roomviz.runtime.context import REQUEST_ID
from roomviz.runtime.rpc import CHUNK_BYTES, EdgeInterceptor, Register
from services.gateway.transport.http.problems import STATUSES, problem

MESSAGE_BYTES_MAX = CHUNK_BYTES + 65_536
_STATUSES = {**STATUSES, "FAILED_PRECONDITION": 400}
_DETAILS = "grpc-status-details-bin"
_COMPRESSED, _END = 1, 2  # flags of an envelope
_TIMEOUT_DIGITS_MAX = 10


class _Refused(Exception):
    """The call ends with this status."""

    def __init__(self, status: Any):
        super().__init__(status.message)
        self.status = status


class _Handlers:
    """Stands where a gRPC server does while servicers are registered, and keeps their handlers."""

    def __init__(self) -> None:
        self._services: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._services += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]) -> None:
        """The same handlers once more, in another shape."""

    def of(self, path: str) -> Any:
        details: Any = SimpleNamespace(method=path, invocation_metadata=())
        return next((found for s in self._services if (found := s.service(details)) is not None), None)


class _Call:
    """What the interceptor and the servicers ask of a call, told by a request."""

    def __init__(self, headers: Mapping[str, str], client: tuple[str, int] | None):
        self._headers, self._client = headers, client

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._headers.items())

    def time_remaining(self) -> float | None:
        given = self._headers.get("connect-timeout-ms", "")
        # What is no number of at most ten digits is no limit.
        return int(given) / 1000 if given.isascii() and given.isdigit() and len(given) <= _TIMEOUT_DIGITS_MAX else None

    def peer(self) -> str:
        """As gRPC tells it: `ipv4:192.0.2.1:50000`."""
        host, port = self._client or ("", 0)
        return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"

    def set_trailing_metadata(self, trailing: Any) -> None:
        """The request id is among the headers, a status in the body."""

    async def abort(self, code: Any, details: str, trailing: Any) -> NoReturn:
        raise _Refused(status_pb2.Status.FromString(dict(trailing)[_DETAILS]))


@dataclass(frozen=True)
class _Method:
    request: type[Message]
    handler: Any

    @property
    def streams(self) -> bool:
        return bool(self.handler.request_streaming or self.handler.response_streaming)


class Connect:
    """An ASGI application. `register` adds the servicers to a server; `edge` does what it does for gRPC."""

    def __init__(self, services: Iterable[ServiceDescriptor], register: Register, edge: EdgeInterceptor):
        handlers = _Handlers()
        register(handlers)  # type: ignore[arg-type]
        methods: dict[str, MethodDescriptor] = {f"/{s.full_name}/{m.name}": m for s in services for m in s.methods}
        self._edge = edge
        self._methods = {
            path: _Method(GetMessageClass(method.input_type), handler)
            for path, method in methods.items()
            if (handler := handlers.of(path)) is not None
        }

    def knows(self, path: str) -> bool:
        return path in self._methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = "connect"
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        headers[REQUEST_ID] = scope["state"]["request_id"]
        method = self._methods[scope["path"]]
        prefix = "application/connect+" if method.streams else "application/"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        wrong = None
        if scope["method"] != "POST":
            wrong = InvalidArgument("METHOD_NOT_ALLOWED", "RPCs are called by POST", {"allow": "POST"})
        elif kind not in (f"{prefix}json", f"{prefix}proto"):
            wrong = InvalidArgument(
                "MEDIA_TYPE_UNSUPPORTED", f"send {prefix}json or {prefix}proto; gRPC has its own port"
            )
        if wrong is not None:
            await problem(wrong, headers[REQUEST_ID])(scope, receive, send)
            return
        body = _Body(receive)
        answer = self._stream if method.streams else self._single
        work = asyncio.create_task(answer(scope, headers, method, kind, body, send))
        gone = asyncio.create_task(body.gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            await work
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _single(
        self, scope: Scope, headers: dict[str, str], method: _Method, kind: str, body: "_Body", send: Send
    ) -> None:
        rpc: Any = _Call(headers, scope["client"])
        came = b""

        async def receive() -> None:
            nonlocal came
            if headers.get("content-encoding", "identity") != "identity":
                raise Unimplemented("ENCODING_UNSUPPORTED", "send the message without compression")
            came = await body.whole()

        try:
            async with self._edge.call(scope["path"], rpc, receive):
                request = _decode(came, method.request, kind)
                data = _encode(await method.handler.unary_unary(request, rpc), kind)
            status, answered = 200, kind
        except _Refused as refused:
            name = code_pb2.Code.Name(refused.status.code)
            status, answered, data = (
                _STATUSES.get(name, 500),
                "application/json",
                json.dumps(_error(refused.status)).encode(),
            )
        length = (b"content-length", str(len(data)).encode())
        await send(_start(status, answered, length))
        await send({"type": "http.response.body", "body": data})

    async def _stream(
        self, scope: Scope, headers: dict[str, str], method: _Method, kind: str, body: "_Body", send: Send
    ) -> None:
        rpc: Any = _Call(headers, scope["client"])
        came: list[bytes] = []
        end: dict[str, Any] = {}
        started = False

        async def receive() -> None:
            if headers.get("connect-content-encoding", "identity") != "identity":
                raise Unimplemented("ENCODING_UNSUPPORTED", "send the messages without compression")
            if not method.handler.request_streaming:
                came.append(await _only(body.envelopes()))

        async def tell(flags: int, data: bytes, more: bool) -> None:
            nonlocal started
            if not started:
                await send(_start(200, kind))
                started = True
            await send(
                {"type": "http.response.body", "body": struct.pack(">BI", flags, len(data)) + data, "more_body": more}
            )

        try:
            async with self._edge.call(scope["path"], rpc, receive):
                request: Any = (
                    (_decode(data, method.request, kind) async for data in body.envelopes())
                    if method.handler.request_streaming
                    else _decode(came[0], method.request, kind)
                )
                if method.handler.response_streaming:
                    answers = (method.handler.stream_stream or method.handler.unary_stream)(request, rpc)
                    async with aclosing(answers):
                        async for answer in answers:
                            await tell(0, _encode(answer, kind), True)
                else:
                    await tell(0, _encode(await method.handler.stream_unary(request, rpc), kind), True)
        except _Refused as refused:
            end = {"error": _error(refused.status)}
        await tell(_END, json.dumps(end).encode(), False)


class _Body:
    """What the caller sends, within its limits."""

    def __init__(self, receive: Receive):
        self._receive = receive
        self._read = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            more = message.get("more_body", False)
            if not more:
                self._read.set()
            yield message.get("body", b"")
            if not more:
                return

    async def gone(self) -> None:
        """Returns once the caller has hung up, which can be known only when all of the body was read."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def whole(self) -> bytes:
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > MESSAGE_BYTES_MAX:
                raise _too_large()
        return bytes(data)

    async def envelopes(self) -> AsyncIterator[bytes]:
        """The messages in the body. What comes after the end of a stream is not looked at."""
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            while len(data) >= 5:
                flags, size = struct.unpack(">BI", data[:5])
                if flags & _COMPRESSED:
                    raise Unimplemented("ENCODING_UNSUPPORTED", "send the messages without compression")
                if size > MESSAGE_BYTES_MAX:
                    raise _too_large()
                if len(data) < 5 + size:
                    break
                if not flags & _END:
                    yield bytes(data[5 : 5 + size])
                del data[: 5 + size]
        if data:
            raise InvalidArgument("MESSAGE_INVALID", "the body ends within a message")


async def _only(messages: AsyncIterator[bytes]) -> bytes:
    found = [message async for message in messages]
    if len(found) != 1:
        raise InvalidArgument("MESSAGE_INVALID", "this call takes one message")
    return found[0]


def _too_large() -> ResourceExhausted:
    return ResourceExhausted("MESSAGE_TOO_LARGE", f"a message has at most {MESSAGE_BYTES_MAX} bytes")


def _decode(data: bytes, kind_of: type[Message], kind: str) -> Message:
    try:
        if kind.endswith("json"):
            return json_format.Parse(data or b"{}", kind_of(), ignore_unknown_fields=True)
        return kind_of.FromString(data)
    except Exception as error:  # the parsers have many ways to say it
        raise InvalidArgument("MESSAGE_INVALID", f"this is no {kind_of.DESCRIPTOR.full_name}") from error


def _encode(message: Message, kind: str) -> bytes:
    if kind.endswith("json"):
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def _error(status: Any) -> dict[str, Any]:
    name = code_pb2.Code.Name(status.code).lower()
    details = [
        {
            "type": d.type_url.rpartition("/")[2],
            "value": base64.b64encode(d.value).decode().rstrip("="),
            "debug": {k: v for k, v in json_format.MessageToDict(d).items() if k != "@type"},
        }
        for d in status.details
    ]
    return {"code": "canceled" if name == "cancelled" else name, "message": status.message, "details": details}


def _start(status: int, kind: str, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode()), *more]}
