"""Visualizations: which product on which surface becomes what the compositor renders."""

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog

from roomviz.errors import InvalidArgument, NotFound, Unavailable
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.runtime.context import current
from roomviz.runtime.rpc import invoke, invoke_for_stream, invoke_with_stream
from roomviz.v1 import products_pb2, rooms_pb2, visualizations_pb2
from services.gateway.domain.happenings import Event, Type
from services.gateway.domain.records import Operation, Room, Visualization
from services.gateway.ports import Calls, Happenings, Objects, Operations, Visualizations
from services.gateway.usecases.caller import caller
from services.gateway.usecases.coverings import covering
from services.gateway.usecases.layouts import border_of, layout_of, runs_along_walls
from services.gateway.usecases.names import check_request_id, new_id, parse
from services.gateway.usecases.products import Find, finder
from services.gateway.usecases.rooms import RoomCases, envelope
from services.gateway.usecases.surfaces import kind_word, masked, no_surface, surface_of
from services.gateway.usecases.things import things_of

log = structlog.get_logger()

APPLICATIONS_MAX, LAYERS_MAX, PLANES_MAX = 16, 64, 16
VERIFY_BYTES_MAX = 200_000_000
_RECEIPT = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class VisualizationCases:
    rooms: RoomCases
    operations: Operations
    visualizations: Visualizations
    objects: Objects
    calls: Calls
    job_limit_s: float
    # Of an item of a batch: what came of those is kept by the compositor.
    batch_visualization: Callable[[str], Awaitable[Visualization | None]]
    happenings: Happenings

    async def preview(
        self, request: visualizations_pb2.PreviewVisualizationRequest
    ) -> compositor_pb2.RenderPreviewResponse:
        spec = await self._asked(request.room, list(request.applications), request.staging)
        made: compositor_pb2.RenderPreviewResponse = await invoke(
            self.calls.compositor.RenderPreview, compositor_pb2.RenderPreviewRequest(spec=spec)
        )
        try:
            await self.happenings.record(*_applied(spec))
        except Unavailable as error:  # a picture that is there is worth more than its count
            log.warning("preview not counted", reason=error.reason)
        return made

    async def export(self, request: visualizations_pb2.ExportVisualizationRequest) -> Operation:
        if request.format not in visualizations_pb2.ImageFormat.values():
            raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "format is JPEG, PNG, WebP or AVIF")
        if request.view not in visualizations_pb2.View.values():
            raise InvalidArgument("VIEW_INVALID", "view is after, before, side by side or layer")
        jpeg = request.format in (visualizations_pb2.IMAGE_FORMAT_UNSPECIFIED, visualizations_pb2.IMAGE_FORMAT_JPEG)
        if request.view == visualizations_pb2.VIEW_LAYER and jpeg:
            raise InvalidArgument(
                "IMAGE_FORMAT_UNSUPPORTED", "a JPEG has no transparency: ask for the layer as PNG, WebP or AVIF"
            )
        check_request_id(request.request_id)
        spec = await self._asked(request.room, list(request.applications), request.staging)
        operation_id = new_id()
        carried, deadline = envelope(operation_id, self.job_limit_s)
        output = compositor_pb2.Output(
            format=request.format or visualizations_pb2.IMAGE_FORMAT_JPEG,
            view=request.view or visualizations_pb2.VIEW_AFTER,
        )
        job = jobs_pb2.ExportJob(envelope=carried, spec=spec, output=output)
        return await self.operations.start(
            operation_id,
            current().tenant,
            caller().subject,
            "export",
            request.room,
            request.request_id,
            request,
            "jobs.compositor.export",
            job,
            deadline,
            spec.width_px * spec.height_px / 1e6,
        )

    async def get(self, name: str) -> Visualization:
        """A visualization that is there, also of a batch. Raises VISUALIZATION_NOT_FOUND."""
        found = await self.seen(name)
        if found.delete_time is not None:
            raise no_visualization(name)
        return found

    async def seen(self, name: str) -> Visualization:
        """As `get`, deleted ones too."""
        (visualization_id,) = parse(name, "visualizations")
        found = await self.visualizations.get(current().tenant, visualization_id)
        if found is None:
            found = await self.batch_visualization(visualization_id)
            if found is not None and not await self.rooms.visible(found.room):
                found = None
        if found is None or not caller().may_see(found.owner):
            raise no_visualization(name)
        return found

    async def picture(self, name: str) -> bytes:
        return await self.objects.get((await self.get(name)).image_key)

    async def rerender(self, receipt: str) -> AsyncIterator[bytes]:
        """The picture of a receipt, in chunks."""
        if not _RECEIPT.fullmatch(receipt):
            raise InvalidArgument("RECEIPT_INVALID", "a receipt is a SHA-256, 64 lower-case hexadecimal digits")
        request = compositor_pb2.RerenderRequest(receipt=receipt)
        async for answer in invoke_for_stream(self.calls.compositor.Rerender, request):
            if answer.room and not await self.rooms.visible(answer.room):
                raise NotFound("RECEIPT_NOT_FOUND", f"there is no receipt {receipt}", {"receipt": receipt})
            if answer.chunk:
                yield answer.chunk

    async def verify(self, chunks: AsyncIterator[bytes]) -> visualizations_pb2.VerifyRenderResponse:
        """What a picture is; it is refused as soon as it is too long. All of it has come before the compositor hears of
        it: whoever sends slowly keeps nobody waiting."""
        async with self.rooms.spool.folder() as folder:
            came = folder / "picture"
            if not (await self.rooms.spool.write(came, chunks, VERIFY_BYTES_MAX)).size_bytes:
                raise InvalidArgument("IMAGE_EMPTY", "the file is empty")
            requests = (compositor_pb2.VerifyRequest(chunk=chunk) async for chunk in self.rooms.spool.parts(came))
            answer: compositor_pb2.VerifyResponse = await invoke_with_stream(self.calls.compositor.Verify, requests)
        if answer.verdict.room and not await self.rooms.visible(answer.verdict.room):
            return visualizations_pb2.VerifyRenderResponse(verdict=visualizations_pb2.RENDER_VERDICT_UNKNOWN)
        return answer.verdict

    async def _asked(
        self,
        room_name: str,
        applications: list[visualizations_pb2.Application],
        staging: visualizations_pb2.Staging,
    ) -> compositor_pb2.RenderSpec:
        room = await self.rooms.get(room_name)
        return await self.spec(room, await self.rooms.analysis(room), applications, staging, finder(self.calls))

    async def spec(
        self,
        room: Room,
        found: segmentation_pb2.GetAnalysisResponse,
        applications: list[visualizations_pb2.Application],
        staging: visualizations_pb2.Staging,
        find: Find,
        shared: bool = False,
    ) -> compositor_pb2.RenderSpec:
        """All that a picture of these depends on; `find` gives products by their names. shared: by pictures that each get
        something more, so that nothing has to be new in it."""
        new = shared or applications or staging.placements or staging.relight
        if len(applications) > APPLICATIONS_MAX or not new:
            raise InvalidArgument(
                "APPLICATIONS_INVALID",
                f"a picture needs 1 to {APPLICATIONS_MAX} applications, something placed in it, or another light",
            )
        if any(len(p.corners) != 4 for p in staging.planes):
            raise InvalidArgument("CORNERS_INVALID", "corners are four points, x and y in pixels")
        if len(staging.planes) > len(found.analysis.surfaces):
            raise InvalidArgument("CORNERS_INVALID", "a surface has one set of corners")
        if staging.relight not in visualizations_pb2.Relight.values():
            raise InvalidArgument("RELIGHT_INVALID", "relight is day, warm or cool")
        if len(staging.planes) > PLANES_MAX:
            raise InvalidArgument("CORNERS_INVALID", f"at most {PLANES_MAX} surfaces have corners")
        spec = compositor_pb2.RenderSpec(
            room=room.name,
            photo_key=room.photo_key,
            working_key=room.working_key,
            width_px=room.width,
            height_px=room.height,
            light_key=found.light_key,
            planes=staging.planes,
            reference=staging.reference if staging.HasField("reference") else None,
            relight=staging.relight,
            focal_length_px=found.analysis.quality.focal_length_px,
            radial_distortion=found.analysis.quality.radial_distortion,
        )
        for application in applications:
            if not math.isfinite(application.rotation_deg):
                raise InvalidArgument("ROTATION_INVALID", "rotation_deg must be a number of degrees")
            product = await covering(application, find)
            layout = layout_of(application.layout if application.HasField("layout") else None, product)
            border = await border_of(layout, find)
            for surface, key in _targets(application, found):
                spec.layers.add(
                    surface=surface,
                    mask_key=key,
                    material=product.material,
                    rotation_deg=application.rotation_deg,
                    layout=layout,
                    product=product.name,
                )
                if border is not None:
                    add_border(spec, spec.layers[-1], border)
        spec.things.extend(await things_of(staging.placements, found, find))
        # What depends on the whole room.
        set_right = staging.planes or staging.HasField("reference")
        if spec.things or set_right or any(runs_along_walls(layer.layout) for layer in spec.layers):
            add_surfaces(spec, found)
        check_layers(spec)
        white = (rooms_pb2.SURFACE_KIND_WALL, rooms_pb2.SURFACE_KIND_CEILING)
        spec.white_mask_keys.extend(k for s, k in masked(found) if s.kind in white)
        return spec


def check_layers(spec: compositor_pb2.RenderSpec) -> None:
    if len(spec.layers) > LAYERS_MAX:
        raise InvalidArgument(
            "APPLICATIONS_INVALID", f"this would lay {len(spec.layers)} layers; at most {LAYERS_MAX} go"
        )


def add_surfaces(spec: compositor_pb2.RenderSpec, found: segmentation_pb2.GetAnalysisResponse) -> None:
    for surface, key in masked(found):
        spec.surfaces.add(surface=surface, mask_key=key)


def add_border(spec: compositor_pb2.RenderSpec, field: compositor_pb2.Layer, border: products_pb2.Product) -> None:
    """Over the field's own border, which would else show through its joint."""
    layer = spec.layers.add()
    layer.CopyFrom(field)
    layer.material.CopyFrom(border.material)
    layer.product, layer.border_alone = border.name, True


def _applied(spec: compositor_pb2.RenderSpec) -> list[Event]:
    """That its products were shown, once for each kind of surface."""
    shown = {(layer.product, layer.surface.kind) for layer in spec.layers if layer.product}
    shown |= {(thing.placement.product, thing.surface.kind) for thing in spec.things}
    tenant, owner, store = current().tenant, caller().subject, caller().store
    return [
        Event(Type.PRODUCT_APPLIED, tenant, owner, p, room=spec.room, product=p, surface_kind=kind_word(k), store=store)
        for p, k in sorted(shown)
    ]


def no_visualization(name: str) -> NotFound:
    return NotFound("VISUALIZATION_NOT_FOUND", f"there is no visualization {name}", {"visualization": name})


def _targets(
    application: visualizations_pb2.Application, found: segmentation_pb2.GetAnalysisResponse
) -> list[tuple[rooms_pb2.Surface, str]]:
    """The surfaces that an application means, with their masks."""
    if application.WhichOneof("target") != "kind":
        return [surface_of(found, application.surface_id)]
    if application.kind not in rooms_pb2.SurfaceKind.values():
        raise InvalidArgument("SURFACE_KIND_INVALID", "there is no such kind of surface")
    chosen = [(s, k) for s, k in masked(found) if s.kind == application.kind]
    if not chosen:
        asked = rooms_pb2.SurfaceKind.Name(application.kind).removeprefix("SURFACE_KIND_").lower()
        raise no_surface(found, asked)
    return chosen
