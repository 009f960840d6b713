"""Demo sessions: anybody tries one photo, without an account."""

from datetime import UTC
from typing import Annotated

from fastapi import APIRouter, Path, Request

from roomviz.v1 import rooms_pb2
from services.gateway.domain.records import Room
from services.gateway.domain.sessions import PhotoResult, PhotoSession, Stage
from services.gateway.transport.admission import Weight
from services.gateway.transport.http import shapes, show
from services.gateway.transport.http.files import Links
from services.gateway.transport.http.gate import asks
from services.gateway.transport.http.photos import file_of, one_file
from services.gateway.transport.permissions import PUBLIC
from services.gateway.usecases.photo_sessions import PhotoSessionCases
from services.gateway.usecases.visitors import VisitorCases

SessionId = Annotated[str, Path(max_length=64)]


def demos(
    router: APIRouter,
    visitors: VisitorCases,
    sessions: PhotoSessionCases,
    links: Links,
    upload_limit_s: float,
    wait_s: float,
) -> None:
    def results(session: PhotoSession, room: Room, found: PhotoResult) -> shapes.SessionResults:
        analysis = rooms_pb2.AnalyzeRoomResponse.FromString(found.analysis)
        pixels = room.width * room.height
        return shapes.SessionResults(
            session_id=session.session_id,
            input_image_url=links.to(room.photo_key),
            output_image_url=links.to(found.picture_key),
            segments=[
                shapes.Segment(
                    kind=show.kind(s.kind),
                    label=s.surface_id,
                    confidence=round(s.confidence, 4),
                    mask=links.to(key),
                    area=round(s.area_fraction * pixels),
                    bbox=list(s.bbox_px),
                )
                for s, key in zip(analysis.surfaces, found.mask_keys, strict=True)
            ],
            ai_description=found.description,
            technical_summary=found.summary,
            processing_time=round(found.seconds, 3),
            model_used=analysis.model,
            confidence_score=round(analysis.quality.confidence, 4),
        )

    @router.post(
        "/api/demo-sessions", summary="Begin without an account", operation_id="createDemoSession", **asks(PUBLIC)
    )
    async def create_demo_session(request: Request) -> shapes.DemoSession:
        """Fails with 403 (DEMO_DISABLED) where the server offers none, and 429 (DEMO_SESSIONS_EXHAUSTED)."""
        token, expire_time = await visitors.enter(request.client.host if request.client else "")
        session = await sessions.begin()
        return shapes.DemoSession(session_id=session.session_id, token=token, expires_at=expire_time.astimezone(UTC))

    @router.post(
        "/api/sessions/{session_id}/upload",
        summary="Put a photo into a session",
        operation_id="uploadToSession",
        **asks("rooms.create", upload_limit_s, weight=Weight.SENT, requestBody=one_file("file")),
    )
    async def upload_to_session(request: Request, session_id: SessionId) -> shapes.SessionPhoto:
        async for name, part in file_of(request):
            session, room = await sessions.upload_into(session_id, name, part.chunks)
        return shapes.SessionPhoto(
            session_id=session.session_id,
            name=session.file_name,
            input_image_url=links.to(room.photo_key),
            width=room.width,
            height=room.height,
            status=Stage.UPLOADED,
        )

    @router.post(
        "/api/image-segmentation",
        summary="Find the surfaces, and describe the room",
        operation_id="segmentImage",
        **asks("rooms.analyze", wait_s + 5, weight=Weight.WATCHED),
    )
    async def segment_image(body: shapes.SegmentationAsked) -> shapes.SessionResults:
        """Fails with 504 (STILL_RUNNING) after 30 seconds: the work goes on, and the session's status tells of it."""
        session = await sessions.get(body.session_id)
        found = await sessions.result(session, wait_s)
        return results(session, await sessions.room(session), found)

    @router.get(
        "/api/sessions/{session_id}/status",
        summary="How far a session is",
        operation_id="getSessionStatus",
        **asks("rooms.get"),
    )
    async def get_session_status(session_id: SessionId) -> shapes.SessionStatus:
        standing = await sessions.standing(await sessions.get(session_id))
        return shapes.SessionStatus(status=standing.stage, progress=standing.percent, message=standing.message)

    @router.get(
        "/api/sessions/{session_id}/results",
        summary="What was found",
        operation_id="getSessionResults",
        **asks("rooms.get"),
    )
    async def get_session_results(session_id: SessionId) -> shapes.SessionResults:
        """Fails with 409 (RESULTS_NOT_READY) where it is too early, and with what the analysis did."""
        session = await sessions.get(session_id)
        found = await sessions.kept(session)
        return results(session, await sessions.room(session), found)
