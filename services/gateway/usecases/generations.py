"""Surfaces that a generative model makes up."""

from dataclasses import dataclass

from roomviz.errors import InvalidArgument
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime.context import current
from roomviz.v1 import visualizations_pb2
from services.gateway.domain.records import Operation
from services.gateway.ports import Operations
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import check_request_id, new_id
from services.gateway.usecases.rooms import RoomCases, envelope
from services.gateway.usecases.surfaces import surface_of

PROMPT_MAX = 500


@dataclass(frozen=True)
class GenerationCases:
    rooms: RoomCases
    operations: Operations
    job_limit_s: float

    async def start(self, request: visualizations_pb2.GenerateVisualizationRequest) -> Operation:
        check_request_id(request.request_id)
        prompt = request.prompt.strip()
        if not 1 <= len(prompt) <= PROMPT_MAX or not prompt.isprintable():
            raise InvalidArgument("PROMPT_INVALID", f"prompt must have 1 to {PROMPT_MAX} printable characters")
        if request.format not in visualizations_pb2.ImageFormat.values():
            raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "format is JPEG, PNG, WebP or AVIF")
        room = await self.rooms.get(request.room)
        found = await self.rooms.analysis(room)
        surface, key = surface_of(found, request.surface_id)
        operation_id = new_id()
        carried, deadline = envelope(operation_id, self.job_limit_s)
        job = jobs_pb2.ExportJob(
            envelope=carried,
            spec=compositor_pb2.RenderSpec(
                room=room.name,
                photo_key=room.photo_key,
                working_key=room.working_key,
                width_px=room.width,
                height_px=room.height,
            ),
            output=compositor_pb2.Output(
                format=request.format or visualizations_pb2.IMAGE_FORMAT_JPEG, view=visualizations_pb2.VIEW_AFTER
            ),
            generation=compositor_pb2.Generation(
                surface=compositor_pb2.MaskedSurface(surface=surface, mask_key=key),
                prompt=prompt,
                seed=request.seed,
                operation=operation_id,
            ),
        )
        return await self.operations.start(
            operation_id,
            current().tenant,
            caller().subject,
            "generate",
            request.room,
            request.request_id,
            request,
            "jobs.compositor.export",
            job,
            deadline,
            room.width * room.height / 1e6,
        )
