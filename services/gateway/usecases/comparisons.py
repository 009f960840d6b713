"""Comparisons: variants of one room, resolved together, rendered by the compositor one after the other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from roomviz.errors import InvalidArgument, RoomvizError
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.runtime.rpc import invoke_for_stream, to_status
from roomviz.v1 import visualizations_pb2
from services.gateway.ports import Calls
from services.gateway.usecases.products import finder_among
from services.gateway.usecases.rooms import RoomCases
from services.gateway.usecases.things import PLACEMENTS_MAX
from services.gateway.usecases.visualizations import APPLICATIONS_MAX, VisualizationCases

VARIANTS_MAX = 64
TILE_PX = 640


@dataclass(frozen=True)
class ComparisonCases:
    rooms: RoomCases
    visualizations: VisualizationCases
    calls: Calls

    async def compare(
        self, request: visualizations_pb2.CompareVisualizationsRequest
    ) -> AsyncIterator[visualizations_pb2.CompareVisualizationsResponse]:
        """Tiles as they are ready, then the sheet. A variant that cannot be resolved is a tile with its error."""
        if not 1 <= len(request.variants) <= VARIANTS_MAX:
            raise InvalidArgument("VARIANTS_INVALID", f"a comparison has 1 to {VARIANTS_MAX} variants")
        if not 0 <= request.columns <= VARIANTS_MAX:
            raise InvalidArgument("TILE_INVALID", f"columns is 0 to {VARIANTS_MAX}")
        if any(len(v.applications) > APPLICATIONS_MAX for v in request.variants):
            raise InvalidArgument("VARIANTS_INVALID", f"a variant has at most {APPLICATIONS_MAX} applications")
        if any(len(v.staging.placements) > PLACEMENTS_MAX for v in request.variants):
            raise InvalidArgument("VARIANTS_INVALID", f"a variant has at most {PLACEMENTS_MAX} things")
        room = await self.rooms.get(request.room)
        found = await self.rooms.analysis(room)
        names = [a.product for v in request.variants for a in v.applications]
        names += [a.layout.border.product for v in request.variants for a in v.applications]
        names += [p.product for v in request.variants for p in v.staging.placements]
        find = await finder_among(self.calls, names)
        asked = compositor_pb2.CompareRequest(columns=request.columns, tile_px=request.tile_px or TILE_PX)
        for variant in request.variants:
            slot = asked.slots.add()
            try:
                spec = await self.visualizations.spec(room, found, list(variant.applications), variant.staging, find)
            except RoomvizError as error:
                if error.retryable:
                    raise
                slot.error.CopyFrom(to_status(error))
            else:
                slot.spec.CopyFrom(spec)
        async for answer in invoke_for_stream(self.calls.compositor.Compare, asked):
            yield answer.part
