"""What a call passes once its caller is known: the tenant's rate, the tenant's heavy calls, and its turn."""

import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from enum import Enum

from google.protobuf.descriptor import ServiceDescriptor

from roomviz.runtime.admission import Turns
from roomviz.runtime.context import current, enter
from services.gateway.usecases.quotas import QuotaCases


class Weight(Enum):
    LIGHT = "light"  # reads and writes rows
    HEAVY = "heavy"  # has something computed while the caller waits
    # The caller's line or an operation sets the pace: such calls hold no turn, which would be taken from others.
    SENT = "sent"
    WATCHED = "watched"


_HEAVY = {
    "PreviewVisualization",
    "CompareVisualizations",
    "RerenderVisualization",
    "ImportPattern",
    "ProposeMasks",
    "RefineSurface",
    "UndoRefinement",
    "RedoRefinement",
    "ResetRefinements",
    "ReplayRefinements",
    "EstimateQuantity",
    "GetRoomDescription",
}


def weights(services: Iterable[ServiceDescriptor]) -> dict[str, Weight]:
    """The weight of each method (`/package.Service/Method`)."""
    found = {}
    for service in services:
        for method in service.methods:
            if method.name.startswith(("Watch", "Wait", "Download")):
                weight = Weight.WATCHED
            elif method.client_streaming:
                weight = Weight.SENT
            else:
                weight = Weight.HEAVY if method.name in _HEAVY else Weight.LIGHT
            found[f"/{service.full_name}/{method.name}"] = weight
    return found


class Admission:
    """Callers without a tenant have no quota, and wait for a turn together."""

    def __init__(self, quotas: QuotaCases, turns: Mapping[Weight, Turns], weights: Mapping[str, Weight]):
        self._quotas, self._turns, self._weights = quotas, turns, weights

    def __call__(self, method: str, tenant: str) -> AbstractAsyncContextManager[Sequence[tuple[str, str]]]:
        return self.at(self._weights.get(method, Weight.LIGHT), tenant)

    @asynccontextmanager
    async def at(self, weight: Weight, tenant: str) -> AsyncIterator[Sequence[tuple[str, str]]]:
        """Let a call of this weight in; what to tell the caller of the rate."""
        told: Sequence[tuple[str, str]] = ()
        if tenant:
            rate, allowed = await self._quotas.request(tenant, current().remaining_s)
            if self._quotas.beyond(tenant):
                enter(replace(current(), background=True))
            told = (
                ("ratelimit-limit", str(allowed.requests_burst)),
                ("ratelimit-remaining", str(rate.remaining)),
                ("ratelimit-reset", str(math.ceil(rate.reset_s))),
            )
        if weight is Weight.WATCHED:
            yield told
        elif weight is Weight.LIGHT:
            async with self._turns[weight].turn(tenant, current().remaining_s):
                yield told
        elif weight is Weight.SENT:
            async with self._quotas.heavy(tenant):
                yield told
        else:
            async with self._quotas.heavy(tenant), self._turns[weight].turn(tenant, current().remaining_s):
                yield told
