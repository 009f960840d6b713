"""Visualizations: which product on which surface becomes what the compositor renders."""

import math
from dataclasses import dataclass

from roomviz.errors import InvalidArgument, NotFound
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.runtime.context import current
from roomviz.runtime.rpc import invoke
from roomviz.v1 import products_pb2, rooms_pb2, visualizations_pb2
from services.gateway.domain.records import Operation, Visualization
from services.gateway.ports import Calls, Objects, Operations, Visualizations
from services.gateway.usecases.names import check_request_id, new_id, parse
from services.gateway.usecases.rooms import RoomCases, envelope

APPLICATIONS_MAX, LAYERS_MAX = 16, 64


@dataclass(frozen=True)
class VisualizationCases:
    rooms: RoomCases
    operations: Operations
    visualizations: Visualizations
    objects: Objects
    calls: Calls
    job_limit_s: float

    async def preview(
        self, request: visualizations_pb2.PreviewVisualizationRequest
    ) -> compositor_pb2.RenderPreviewResponse:
        spec = await self._spec(request.room, list(request.applications))
        made: compositor_pb2.RenderPreviewResponse = await invoke(
            self.calls.compositor.RenderPreview, compositor_pb2.RenderPreviewRequest(spec=spec)
        )
        return made

    async def export(self, request: visualizations_pb2.ExportVisualizationRequest) -> Operation:
        if request.format not in visualizations_pb2.ImageFormat.values():
            raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "format is JPEG, PNG or WebP")
        check_request_id(request.request_id)
        spec = await self._spec(request.room, list(request.applications))
        operation_id = new_id()
        carried, deadline = envelope(operation_id, self.job_limit_s)
        job = jobs_pb2.ExportJob(envelope=carried, spec=spec, format=request.format)
        return await self.operations.start(
            operation_id,
            current().tenant,
            "export",
            request.room,
            request.request_id,
            request,
            "jobs.compositor.export",
            job,
            deadline,
        )

    async def get(self, name: str) -> Visualization:
        (visualization_id,) = parse(name, "visualizations")
        found = await self.visualizations.get(current().tenant, visualization_id)
        if found is None:
            raise NotFound("VISUALIZATION_NOT_FOUND", f"there is no visualization {name}")
        return found

    async def picture(self, name: str) -> bytes:
        return await self.objects.get((await self.get(name)).image_key)

    async def _spec(
        self, room_name: str, applications: list[visualizations_pb2.Application]
    ) -> compositor_pb2.RenderSpec:
        if not 1 <= len(applications) <= APPLICATIONS_MAX:
            raise InvalidArgument("APPLICATIONS_INVALID", f"a picture needs 1 to {APPLICATIONS_MAX} applications")
        room = await self.rooms.get(room_name)
        found = await self.rooms.analysis(room)
        spec = compositor_pb2.RenderSpec(
            room=room.name,
            photo_key=room.photo_key,
            working_key=room.working_key,
            width_px=room.width,
            height_px=room.height,
            light_key=found.light_key,
        )
        for application in applications:
            if not math.isfinite(application.rotation_deg):
                raise InvalidArgument("ROTATION_INVALID", "rotation_deg must be a number of degrees")
            product = (
                await invoke(self.calls.products.GetProduct, products_pb2.GetProductRequest(name=application.product))
            ).product
            for surface, key in _targets(application, found):
                spec.layers.add(
                    surface=surface, mask_key=key, material=product.material, rotation_deg=application.rotation_deg
                )
        if len(spec.layers) > LAYERS_MAX:
            raise InvalidArgument(
                "APPLICATIONS_INVALID", f"this would lay {len(spec.layers)} layers; at most {LAYERS_MAX} go"
            )
        white = (rooms_pb2.SURFACE_KIND_WALL, rooms_pb2.SURFACE_KIND_CEILING)
        spec.white_mask_keys.extend(
            k for s, k in zip(found.analysis.surfaces, found.mask_keys, strict=True) if s.kind in white
        )
        return spec


def _targets(
    application: visualizations_pb2.Application, found: segmentation_pb2.GetAnalysisResponse
) -> list[tuple[rooms_pb2.Surface, str]]:
    """The surfaces that an application means, with their masks."""
    surfaces = list(zip(found.analysis.surfaces, found.mask_keys, strict=True))
    if application.WhichOneof("target") == "kind":
        if application.kind not in rooms_pb2.SurfaceKind.values():
            raise InvalidArgument("SURFACE_KIND_INVALID", "there is no such kind of surface")
        asked = rooms_pb2.SurfaceKind.Name(application.kind).removeprefix("SURFACE_KIND_").lower()
        chosen = [(s, k) for s, k in surfaces if s.kind == application.kind]
    else:
        asked = application.surface_id
        chosen = [(s, k) for s, k in surfaces if s.surface_id == asked]
    if not chosen:
        have = ", ".join(s.surface_id for s, _ in surfaces)
        raise NotFound(
            "SURFACE_NOT_FOUND",
            f"the room has no surface {asked[:64] or '(none given)'}; it has {have}",
            {"surface": asked[:64]},
        )
    return chosen
