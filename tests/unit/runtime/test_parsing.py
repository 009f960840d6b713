"""A real server on a free port: messages that are none of their type."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from roomviz.runtime.parsing import ParsingInterceptor
from roomviz.runtime.rpc import EdgeInterceptor, from_call
from roomviz.v1 import rooms_pb2

GARBAGE = b"\x0a\xff"
READ = rooms_pb2.GetRoomRequest.FromString
WRITE = rooms_pb2.GetRoomResponse.SerializeToString


async def one(request: Any, rpc: grpc.aio.ServicerContext) -> Any:
    if not isinstance(request, rooms_pb2.GetRoomRequest):
        async for _ in request:
            pass
    return rooms_pb2.GetRoomResponse()


async def many(request: Any, rpc: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
    yield await one(request, rpc)


KINDS = {
    "unary_unary": grpc.unary_unary_rpc_method_handler(one, READ, WRITE),
    "unary_stream": grpc.unary_stream_rpc_method_handler(many, READ, WRITE),
    "stream_unary": grpc.stream_unary_rpc_method_handler(one, READ, WRITE),
    "stream_stream": grpc.stream_stream_rpc_method_handler(many, READ, WRITE),
}


async def anybody(method: str, metadata: dict[str, str]) -> str:
    return "tenant"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_that_is_none_is_refused_and_a_good_one_is_served(kind: str):
    server = grpc.aio.server(interceptors=[EdgeInterceptor(anybody, 5.0), ParsingInterceptor()])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Rooms", KINDS)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    streams_in, streams_out = (part == "stream" for part in kind.split("_"))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

            async def call(*messages: bytes) -> list[bytes]:
                method = getattr(channel, kind)(f"/test.Rooms/{kind}")
                answer = method(iter(messages) if streams_in else messages[0], timeout=5)
                return [a async for a in answer] if streams_out else [await answer]

            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(rooms_pb2.GetRoomRequest(name="x").SerializeToString() if streams_in else GARBAGE, GARBAGE)
            assert from_call(caught.value).reason == "MESSAGE_MALFORMED"
            assert await call(rooms_pb2.GetRoomRequest(name="x").SerializeToString()) == [b""]
    finally:
        await server.stop(None)
