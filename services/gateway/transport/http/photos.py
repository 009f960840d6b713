"""A photo's way from its upload to a picture of the room with other materials."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request

from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.v1 import refinements_pb2, visualizations_pb2
from services.gateway.domain.records import Room
from services.gateway.domain.sessions import PhotoSession
from services.gateway.transport.admission import Weight
from services.gateway.transport.http import shapes, show
from services.gateway.transport.http.files import Links
from services.gateway.transport.http.gate import asks
from services.gateway.transport.http.multipart import Part, parts
from services.gateway.transport.http.pictures import Pictures
from services.gateway.usecases.lifecycle import VisualizationLifecycle
from services.gateway.usecases.photo_sessions import PhotoSessionCases
from services.gateway.usecases.refinements import RefinementCases

_FORMATS = {
    "jpeg": visualizations_pb2.IMAGE_FORMAT_JPEG,
    "png": visualizations_pb2.IMAGE_FORMAT_PNG,
    "webp": visualizations_pb2.IMAGE_FORMAT_WEBP,
}


def one_file(names: str, more: dict[str, object] | None = None) -> dict[str, object]:
    """OpenAPI of a body with one file."""
    properties: dict[str, object] = {
        names: {"type": "string", "contentMediaType": "image/*", "contentEncoding": "binary"},
        "name": {
            "type": "string",
            "maxLength": 200,
            "description": "What to call the photo, sent before it; the file's name if absent.",
        },
        **(more or {}),
    }
    schema = {"type": "object", "properties": properties, "required": [names]}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


async def file_of(request: Request) -> AsyncIterator[tuple[str, Part]]:
    """The one file of a body, with what to call it: as the field `name` before it says, or as the file is called."""
    name = ""
    async for part in parts(request):
        if part.name in ("file", "image"):
            yield name or part.file_name, part
            return
        if part.name == "name":
            name = await part.text()
    raise InvalidArgument("FILE_MISSING", "send the picture as the part `file`")


def photos(
    router: APIRouter,
    sessions: PhotoSessionCases,
    refinements: RefinementCases,
    visualizations: VisualizationLifecycle,
    pictures: Pictures,
    links: Links,
    upload_limit_s: float,
    wait_s: float,
) -> None:
    def analyzed(session: PhotoSession, room: Room, found: segmentation_pb2.GetAnalysisResponse) -> shapes.Analyzed:
        return shapes.Analyzed(
            **show.uploaded(session, room, links).model_dump(),
            masks=show.masks(found.analysis.surfaces, found.mask_keys, links),
        )

    @router.post(
        "/api/upload",
        summary="Send a photo of a room",
        operation_id="upload",
        **asks("rooms.create", upload_limit_s, weight=Weight.SENT, requestBody=one_file("image")),
    )
    async def upload(request: Request) -> shapes.Uploaded:
        """The part may be called `image` or `file`. Fails with 400 (IMAGE_CORRUPT …), 413 and 415."""
        async for name, part in file_of(request):
            session, room = await sessions.upload(name, part.chunks)
        return show.uploaded(session, room, links)

    @router.get(
        "/api/sessions/{session_id}", summary="A session as it stands", operation_id="getSession", **asks("rooms.get")
    )
    async def get_session(session_id: str) -> shapes.SessionDetail:
        session = await sessions.get(session_id)
        standing = await sessions.standing(session)
        room = await sessions.room(session) if session.room_id else None
        masks: list[shapes.SessionMask] = []
        if room is not None:
            try:
                found = await sessions.rooms.analysis(room)
                masks = show.masks(found.analysis.surfaces, found.mask_keys, links)
            except FailedPrecondition:  # not analyzed yet
                pass
        return shapes.SessionDetail(
            session_id=session.session_id,
            status=standing.stage,
            progress=standing.percent,
            message=standing.message,
            file_name=session.file_name,
            image_url=links.to(room.photo_key) if room else None,
            image_width=room.width if room else None,
            image_height=room.height if room else None,
            masks=masks,
            created_at=session.create_time,
        )

    @router.post(
        "/api/analyze",
        summary="Find the surfaces",
        operation_id="analyze",
        **asks("rooms.analyze", wait_s + 5, weight=Weight.WATCHED),
    )
    async def analyze(body: shapes.AnalyzeAsked) -> shapes.Analyzed:
        """Fails with 504 (STILL_RUNNING) where it takes long: it goes on, and the session tells how far it is."""
        session = await sessions.get(body.session_id)
        await sessions.analyze(session, wait_s)
        return analyzed(session, *await sessions.found(session))

    @router.post(
        "/api/refine", summary="Correct a surface", operation_id="refine", **asks("rooms.refine", weight=Weight.HEAVY)
    )
    async def refine(body: shapes.RefineAsked) -> shapes.Analyzed:
        """Fails with 504 (STILL_RUNNING) while the room is being analyzed."""
        session = await sessions.get(body.session_id)
        room = await sessions.ready(session, 0)
        points = [refinements_pb2.PointPx(x=p.x, y=p.y) for p in body.points]
        if body.type == "scribble":
            line = refinements_pb2.Scribble(points=points, width_px=body.width)
            strokes = [refinements_pb2.Stroke(scribble=line, erase=body.erase)]
        else:
            strokes = [refinements_pb2.Stroke(point=p, erase=body.erase) for p in points]
        await refinements.surface(
            "RefineSurface",
            refinements_pb2.RefineSurfaceRequest(name=f"{room.name}/surfaces/{body.mask_id}", strokes=strokes),
        )
        return analyzed(session, *await sessions.found(session))

    @router.post(
        "/api/visualize",
        summary="Show the room with other materials",
        operation_id="visualize",
        **asks("visualizations.create", wait_s + 5, weight=Weight.WATCHED),
    )
    async def visualize(body: shapes.VisualizeAsked) -> shapes.VisualizationDetail:
        """Fails with 504 (STILL_RUNNING) where it takes long: it goes on, and is a visualization of the operation's id."""
        session = await sessions.get(body.session_id)
        room = await sessions.ready(session, wait_s)
        asked = visualizations_pb2.ExportVisualizationRequest(
            room=room.name,
            format=_FORMATS[body.format],
            applications=[
                visualizations_pb2.Application(
                    product=f"products/{a.product_id}" if a.product_id else "",
                    color=visualizations_pb2.Color(rgb=int(a.color[1:], 16)) if a.color else None,
                    finish=f"FINISH_{(a.finish or 'unspecified').upper()}",
                    rotation_deg=a.rotation,
                    **({"surface_id": a.mask_id} if a.mask_id else {"kind": show.kind_value(a.surface_label or "")}),
                )
                for a in body.applications
            ],
        )
        operation = await sessions.ended(await visualizations.cases.export(asked), wait_s)
        return await pictures.detail(await visualizations.cases.get(f"visualizations/{operation.operation_id}"))
