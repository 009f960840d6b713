"""Requests are parsed where their failure has an answer: as a part of the call, after its caller is known.

gRPC parses them before it asks us, and ends a call whose message is no message of its type with UNKNOWN.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from roomviz.errors import InvalidArgument


class ParsingInterceptor(grpc.aio.ServerInterceptor):
    """Comes after the one that maps errors. What cannot be parsed fails with INVALID_ARGUMENT (MESSAGE_MALFORMED)."""

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None or details.method.startswith("/grpc."):
            return handler
        parse = _parser(handler.request_deserializer)
        inner = handler.stream_stream or handler.stream_unary or handler.unary_stream or handler.unary_unary

        async def each(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
            async for request in requests:
                yield parse(request)

        def given(request: Any) -> Any:
            return each(request) if handler.request_streaming else parse(request)

        async def stream(request: Any, rpc: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            async with aclosing(inner(given(request), rpc)) as answers:
                async for answer in answers:
                    yield answer

        async def single(request: Any, rpc: grpc.aio.ServicerContext) -> Any:
            return await inner(given(request), rpc)

        if handler.response_streaming:
            wrap = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return wrap(stream, None, handler.response_serializer)
        wrap = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return wrap(single, None, handler.response_serializer)


def _parser(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            raise InvalidArgument("MESSAGE_MALFORMED", "the request is not a message of its type") from error

    return parse
