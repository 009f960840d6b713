"""A request that comes twice under one `request_id` has one effect and one answer (AIP-155), for a day."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from roomviz.runtime.context import current
from services.gateway.ports import Requests
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import check_request_id

M = TypeVar("M", bound=Message)


class _Rehearsed(Exception):
    """Takes a transaction back whose answer alone was asked for."""


@dataclass(frozen=True)
class Once:
    """Runs the change that a request asks for, in one transaction with the record of its id.

    So there is nothing between the change and the record that a crash could part. The request has a `request_id`, and
    maybe `validate_only`: then what would come of it is told, and nothing kept.
    """

    requests: Requests

    async def __call__(self, request: Any, answer: type[M], change: Callable[[Any], Awaitable[M]]) -> M:
        """`change(connection)` makes the change and gives its answer, by that connection alone: another one might not
        come, since twins that wait hold theirs. Raises Aborted (REQUEST_ID_REUSED)."""
        check_request_id(request.request_id)
        rpc: str = request.DESCRIPTOR.full_name
        asked = request.SerializeToString(deterministic=True)
        mine = (current().tenant, caller().subject, request.request_id)
        rehearsal = getattr(request, "validate_only", False)
        keep = bool(request.request_id) and not rehearsal
        made: M | None = None
        try:
            async with self.requests.transaction() as connection:
                if keep:
                    known = await self.requests.claim(connection, *mine, rpc, fingerprint(rpc, asked))
                    if known is not None:
                        return answer.FromString(known)
                made = await change(connection)
                if keep:
                    await self.requests.settle(connection, *mine, made.SerializeToString())
                if rehearsal:
                    raise _Rehearsed
        except _Rehearsed:
            pass
        assert made is not None
        return made


def fingerprint(rpc: str, asked: bytes) -> str:
    """Tells one request from another."""
    return hashlib.sha256(rpc.encode() + b"\0" + asked).hexdigest()
