"""The partner SDK: a thin front on the gateway's gRPC API.

    with Client("127.0.0.1:8443", key) as client:
        room = client.upload(Path("room.jpg").read_bytes(), "room.jpg")
        client.analyze(room.name)
        picture = client.preview(room.name, [client.apply("FLR-OAK-NATURAL", kind="floor")])

Failures are those of `roomviz.errors`. A call that found no server, or was told when to come back, is tried again a few
times.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import grpc
import stamina
from google.longrunning import operations_pb2 as longrunning
from google.longrunning import operations_pb2_grpc as longrunning_grpc

from roomviz.accounts import Accounts, Keys, OwnTenant, SessionToken, Users
from roomviz.client_insights import Insights
from roomviz.client_webhooks import Webhooks
from roomviz.errors import Aborted, Cancelled, DeadlineExceeded, InvalidArgument, RoomvizError, Unavailable
from roomviz.imaging.lens import Lens
from roomviz.retries import WAIT_MAX_S, Retries
from roomviz.runtime.rpc import CHUNK_BYTES, MESSAGE_BYTES_MAX, from_call, from_status
from roomviz.v1 import (
    layouts_pb2,
    models_pb2,
    models_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    privacy_pb2,
    privacy_pb2_grpc,
    products_pb2,
    products_pb2_grpc,
    proposals_pb2,
    proposals_pb2_grpc,
    quantities_pb2,
    quantities_pb2_grpc,
    refinements_pb2,
    refinements_pb2_grpc,
    rooms_pb2,
    rooms_pb2_grpc,
    shares_pb2,
    shares_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    uploads_pb2,
    uploads_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
    visualizations_pb2,
    visualizations_pb2_grpc,
)

OnProgress = Callable[[str, int], None]
Points = Sequence[tuple[float, float]]
PAGE_SIZE = 200  # the most that a list answers with
R = TypeVar("R")

PATTERNS = {name.removeprefix("PATTERN_").lower(): value for name, value in layouts_pb2.Pattern.items() if value}
FINISHES = [name.removeprefix("FINISH_").lower() for name, value in products_pb2.Finish.items() if value]
KINDS = {name.removeprefix("SURFACE_KIND_").lower(): value for name, value in rooms_pb2.SurfaceKind.items() if value}

VIEWS = {name.removeprefix("VIEW_").lower(): value for name, value in visualizations_pb2.View.items() if value}

RELIGHTS = [n.removeprefix("RELIGHT_").lower() for n, value in visualizations_pb2.Relight.items() if value]


def _points(points: Points) -> list[refinements_pb2.PointPx]:
    return [refinements_pb2.PointPx(x=x, y=y) for x, y in points]


def _corners(points: Points) -> quantities_pb2.PlanePolygon:
    return quantities_pb2.PlanePolygon(corners=[layouts_pb2.PlanePoint(x_m=x, y_m=y) for x, y in points])


class Client:
    """Blocking. One channel; safe to share between threads.

    credential: an API key; or an access token; or what gives one for each call, such as a `SessionToken`. tls: True, or the
    PEM file of the authorities to believe instead of gRPC's own list. Without it the credential travels in plain text: for
    one machine, or behind what ends TLS there.
    """

    def __init__(
        self,
        address: str,
        credential: str | Callable[[], str],
        timeout_s: float = 60.0,
        tls: bool | Path = False,
    ):
        self._timeout, self._credential = timeout_s, credential
        self._retries = Retries()
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ]
        if tls is False:
            self._channel = grpc.insecure_channel(address, options)
        else:
            authorities = None if tls is True else tls.read_bytes()
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authorities), options)
        self._rooms = rooms_pb2_grpc.RoomServiceStub(self._channel)
        self._shares = shares_pb2_grpc.ShareServiceStub(self._channel)
        self._uploads = uploads_pb2_grpc.UploadServiceStub(self._channel)
        self._refinements = refinements_pb2_grpc.RefinementServiceStub(self._channel)
        self._visualizations = visualizations_pb2_grpc.VisualizationServiceStub(self._channel)
        self._products = products_pb2_grpc.ProductServiceStub(self._channel)
        self._operations = operations_pb2_grpc.OperationServiceStub(self._channel)
        self._longrunning = longrunning_grpc.OperationsStub(self._channel)
        self._quantities = quantities_pb2_grpc.QuantityServiceStub(self._channel)
        self._proposals = proposals_pb2_grpc.ProposalServiceStub(self._channel)
        self._models = models_pb2_grpc.ModelServiceStub(self._channel)
        self._usage = usage_pb2_grpc.UsageServiceStub(self._channel)
        self._privacy = privacy_pb2_grpc.PrivacyServiceStub(self._channel)
        self._system = system_pb2_grpc.SystemServiceStub(self._channel)
        self.webhooks = Webhooks(self._channel, self._call, self._pages)
        self.insights = Insights(self._channel, self._call)
        key = credential if isinstance(credential, str) else ""
        self.accounts = Accounts(self._channel, self._call, key, timeout_s)
        self.users, self.keys = Users(self._channel, self._call), Keys(self._channel, self._call)
        self.tenant = OwnTenant(self._channel, self._call)

    @property
    def _metadata(self) -> list[tuple[str, str]]:
        credential = self._credential if isinstance(self._credential, str) else self._credential()
        return [("authorization", f"Bearer {credential}")]

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self._channel.close()

    def _call(self, method: Any, request: Callable[[], Any], read: Callable[[Any], R], attempts: int = 4) -> R:
        """Call with a deadline; again, within a budget, where it was refused for now: see `roomviz.retries`."""
        for attempt in stamina.retry_context(
            on=self._retries, attempts=attempts, timeout=WAIT_MAX_S, wait_initial=0.2, wait_max=2.0
        ):
            with attempt:
                try:
                    answer = read(method(request(), timeout=self._timeout, metadata=self._metadata))
                except grpc.RpcError as error:
                    raise from_call(error) from error  # type: ignore[arg-type]
                self._retries.succeeded()
                return answer
        raise AssertionError("unreachable")

    def _pages(self, method: Any, request: Any) -> Iterator[Any]:
        """The answers to a request for a list, page after page."""
        while True:
            page = self._call(method, lambda: request, lambda a: a)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    # --- rooms ---

    def upload(self, data: bytes | Path, display_name: str = "", resume: bool = False) -> rooms_pb2.Room:
        """Send a photo, or the file at a path; the same bytes give the same room.

        resume: what has arrived outlives a connection that breaks, and is not sent again.
        """
        if isinstance(data, Path):
            display_name = display_name or data.name
            data = data.read_bytes()
        if resume:
            return self._upload_in_pieces(data, display_name)
        digest = hashlib.sha256(data).hexdigest()

        def parts() -> Iterator[rooms_pb2.UploadRoomRequest]:
            header = rooms_pb2.UploadRoomHeader(
                display_name=display_name[:200], size_bytes=len(data), content_digest=digest
            )
            yield rooms_pb2.UploadRoomRequest(header=header)
            for at in range(0, len(data), CHUNK_BYTES):
                yield rooms_pb2.UploadRoomRequest(chunk=data[at : at + CHUNK_BYTES])

        room: rooms_pb2.Room = self._call(self._rooms.UploadRoom, parts, lambda a: a.room)
        return room

    def _upload_in_pieces(self, data: bytes, display_name: str) -> rooms_pb2.Room:
        announced = uploads_pb2.CreateUploadRequest(
            upload=uploads_pb2.Upload(
                display_name=display_name[:200],
                size_bytes=len(data),
                content_digest=hashlib.sha256(data).hexdigest(),
            ),
            request_id=str(uuid.uuid4()),
        )
        name = self._call(self._uploads.CreateUpload, lambda: announced, lambda a: str(a.upload.name))
        offset = 0

        def parts() -> Iterator[rooms_pb2.UploadRoomRequest]:
            yield rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader(upload=name, offset=offset))
            for at in range(offset, len(data), CHUNK_BYTES):
                yield rooms_pb2.UploadRoomRequest(chunk=data[at : at + CHUNK_BYTES])

        def arrived() -> int:
            asked = uploads_pb2.GetUploadRequest(name=name)
            return self._call(self._uploads.GetUpload, lambda: asked, lambda a: int(a.upload.received_bytes))

        # A broken connection may show as a call that ended in any of these ways.
        broken = (Unavailable, Aborted, Cancelled, DeadlineExceeded)
        for attempt in stamina.retry_context(on=broken, attempts=8, timeout=120.0, wait_initial=0.5, wait_max=8.0):
            with attempt:
                if attempt.num > 1:
                    offset = arrived()
                try:
                    room: rooms_pb2.Room = self._rooms.UploadRoom(
                        parts(), timeout=self._timeout, metadata=self._metadata
                    ).room
                except grpc.RpcError as error:
                    raise from_call(error) from error  # type: ignore[arg-type]
                return room
        raise AssertionError("unreachable")

    def analyze(
        self, room: str, on_progress: OnProgress | None = None, reanalyze: bool = False
    ) -> rooms_pb2.AnalyzeRoomResponse:
        """Find the surfaces of a room and wait for them."""
        request = rooms_pb2.AnalyzeRoomRequest(name=room, request_id=str(uuid.uuid4()), reanalyze=reanalyze)
        operation = self._call(self._rooms.AnalyzeRoom, lambda: request, lambda a: a)
        answer = rooms_pb2.AnalyzeRoomResponse()
        self._wait(operation, on_progress).response.Unpack(answer)
        return answer

    def surfaces(self, room: str) -> list[rooms_pb2.Surface]:
        """All surfaces of an analyzed room."""
        request = rooms_pb2.ListSurfacesRequest(parent=room, page_size=PAGE_SIZE)
        return [s for page in self._pages(self._rooms.ListSurfaces, request) for s in page.surfaces]

    def lens(self, analyzed: rooms_pb2.AnalyzeRoomResponse) -> Lens:
        """The lens of an analyzed room's photo: `straight` brings its pixels to those that planes' homographies lead to, `bent`
        brings these back."""
        request = rooms_pb2.GetRoomRequest(name=analyzed.room)
        room: rooms_pb2.Room = self._call(self._rooms.GetRoom, lambda: request, lambda a: a.room)
        camera = analyzed.quality
        return Lens.of(room.height_px, room.width_px, camera.focal_length_px, camera.radial_distortion)

    def describe(self, room: str) -> rooms_pb2.GetRoomDescriptionResponse:
        """An analyzed room in words."""
        request = rooms_pb2.GetRoomDescriptionRequest(name=room)
        found: rooms_pb2.GetRoomDescriptionResponse = self._call(
            self._rooms.GetRoomDescription, lambda: request, lambda a: a
        )
        return found

    def mask(self, surface: str) -> bytes:
        """The soft mask of a surface, an 8-bit grey PNG."""
        return self._call(
            self._rooms.FetchMask, lambda: rooms_pb2.FetchMaskRequest(name=surface), lambda a: bytes(a.png)
        )

    def photo(self, room: str) -> bytes:
        """The normalized photo, a PNG."""
        return self._call(
            self._rooms.DownloadPhoto,
            lambda: rooms_pb2.DownloadPhotoRequest(name=room),
            lambda a: b"".join(p.chunk for p in a),
        )

    # --- corrections ---

    @staticmethod
    def point(x: float, y: float, erase: bool = False) -> refinements_pb2.Stroke:
        """A click, in pixels of the normalized photo: the coherent region around it."""
        return refinements_pb2.Stroke(point=refinements_pb2.PointPx(x=x, y=y), erase=erase)

    @staticmethod
    def scribble(points: Points, width_px: float, erase: bool = False) -> refinements_pb2.Stroke:
        """A line drawn with a brush."""
        line = refinements_pb2.Scribble(points=_points(points), width_px=width_px)
        return refinements_pb2.Stroke(scribble=line, erase=erase)

    @staticmethod
    def box(x0: float, y0: float, x1: float, y1: float) -> refinements_pb2.Stroke:
        """Alone: the thing in the box. With other strokes: the limit of what changes."""
        a, b = _points([(x0, y0), (x1, y1)])
        return refinements_pb2.Stroke(box=refinements_pb2.BoxPx(min=a, max=b))

    @staticmethod
    def polygon(points: Points, erase: bool = False) -> refinements_pb2.Stroke:
        """Exactly the inside of an outline."""
        return refinements_pb2.Stroke(polygon=refinements_pb2.Polygon(points=_points(points)), erase=erase)

    def refine(
        self, surface: str, strokes: list[refinements_pb2.Stroke], etag: str = ""
    ) -> refinements_pb2.RefineSurfaceResponse:
        """Correct the mask of a surface by what was drawn; masks fetched from here on are the new ones."""
        request = refinements_pb2.RefineSurfaceRequest(
            name=surface, strokes=strokes, etag=etag, request_id=str(uuid.uuid4())
        )
        made: refinements_pb2.RefineSurfaceResponse = self._call(
            self._refinements.RefineSurface, lambda: request, lambda a: a
        )
        return made

    def undo(self, room: str, etag: str = "") -> refinements_pb2.UndoRefinementResponse:
        """Take back the last correction."""
        request = refinements_pb2.UndoRefinementRequest(parent=room, etag=etag, request_id=str(uuid.uuid4()))
        made: refinements_pb2.UndoRefinementResponse = self._call(
            self._refinements.UndoRefinement, lambda: request, lambda a: a
        )
        return made

    def redo(self, room: str, etag: str = "") -> refinements_pb2.RedoRefinementResponse:
        """Do again what was taken back last."""
        request = refinements_pb2.RedoRefinementRequest(parent=room, etag=etag, request_id=str(uuid.uuid4()))
        made: refinements_pb2.RedoRefinementResponse = self._call(
            self._refinements.RedoRefinement, lambda: request, lambda a: a
        )
        return made

    def reset(self, room: str, etag: str = "") -> refinements_pb2.ResetRefinementsResponse:
        """Go back to the automatic masks."""
        request = refinements_pb2.ResetRefinementsRequest(parent=room, etag=etag, request_id=str(uuid.uuid4()))
        made: refinements_pb2.ResetRefinementsResponse = self._call(
            self._refinements.ResetRefinements, lambda: request, lambda a: a
        )
        return made

    def refinements(self, room: str) -> list[refinements_pb2.Refinement]:
        """The whole log of a room, oldest first."""
        request = refinements_pb2.ListRefinementsRequest(parent=room, page_size=PAGE_SIZE)
        return [r for page in self._pages(self._refinements.ListRefinements, request) for r in page.refinements]

    def replay(self, room: str) -> refinements_pb2.ReplayRefinementsResponse:
        """How the corrections in force would come out on the newest analysis; changes nothing."""
        request = refinements_pb2.ReplayRefinementsRequest(parent=room)
        made: refinements_pb2.ReplayRefinementsResponse = self._call(
            self._refinements.ReplayRefinements, lambda: request, lambda a: a
        )
        return made

    # --- visualizations ---

    @staticmethod
    def layout(pattern: str = "", **fields: Any) -> layouts_pb2.Layout:
        """How pieces are laid, such as `herringbone`; fields as in the proto. What is not given is as the material says."""
        if pattern and pattern not in PATTERNS:
            raise InvalidArgument("LAYOUT_INVALID", f"a pattern is one of {', '.join(PATTERNS)}", {"field": "pattern"})
        return layouts_pb2.Layout(pattern=f"PATTERN_{(pattern or 'unspecified').upper()}", **fields)

    @staticmethod
    def border(
        outline: Points = (), sku: str = "", width_m: float = 0.0, piece_length_m: float = 0.0
    ) -> layouts_pb2.Border:
        """For `layout`: a border along a polygon of metres on the surface's plane, or, without one, along the walls of a
        floor; of a product's pieces, or cut from the field's."""
        return layouts_pb2.Border(
            product=f"products/{sku}" if sku else "",
            width_m=width_m,
            piece_length_m=piece_length_m,
            outline=[layouts_pb2.PlanePoint(x_m=x, y_m=y) for x, y in outline],
        )

    @staticmethod
    def apply(
        sku: str,
        surface_id: str = "",
        kind: str = "",
        rotation_deg: float = 0.0,
        layout: layouts_pb2.Layout | None = None,
        finish: str = "",
    ) -> visualizations_pb2.Application:
        """A product on one surface (`surface_id`) or on all of a kind (`floor`, `wall` …); see `layout`."""
        out = Client.target(surface_id, kind, rotation_deg, layout, finish)
        out.product = f"products/{sku}"
        return out

    @staticmethod
    def paint(
        color: int | tuple[float, float, float], surface_id: str = "", kind: str = "", finish: str = ""
    ) -> visualizations_pb2.Application:
        """Paint of any colour, sRGB as 0xRRGGBB or CIELAB (D65), on one surface or on all of a kind."""
        out = Client.target(surface_id, kind, finish=finish)
        if isinstance(color, int):
            out.color.rgb = color
        else:
            out.color.lab.l, out.color.lab.a, out.color.lab.b = color
        return out

    @staticmethod
    def target(
        surface_id: str = "",
        kind: str = "",
        rotation_deg: float = 0.0,
        layout: layouts_pb2.Layout | None = None,
        finish: str = "",
    ) -> visualizations_pb2.Application:
        """Where the products of a batch go, how they are laid, and how they throw light back (`matte`, `eggshell` …)."""
        if finish and finish not in FINISHES:
            raise InvalidArgument("FINISH_INVALID", f"a finish is one of {', '.join(FINISHES)}")
        name = f"FINISH_{(finish or 'unspecified').upper()}"
        out = visualizations_pb2.Application(rotation_deg=rotation_deg, layout=layout, finish=name)
        if surface_id:
            out.surface_id = surface_id
        elif kind in KINDS:
            out.kind = KINDS[kind]  # type: ignore[assignment]
        else:
            raise InvalidArgument("SURFACE_KIND_INVALID", f"a surface is one of {', '.join(KINDS)} or the id of one")
        return out

    @staticmethod
    def corners(
        surface_id: str, points: Points, width_m: float = 0.0, height_m: float = 0.0
    ) -> visualizations_pb2.PlaneCorners:
        """How a surface lies: a rectangle on it, clockwise from its top left corner in pixels, and, where somebody knows
        them, its metres."""
        return visualizations_pb2.PlaneCorners(
            surface_id=surface_id, corners=_points(points), width_m=width_m, height_m=height_m
        )

    @staticmethod
    def reference(surface_id: str, points: Points, length_m: float) -> visualizations_pb2.ReferenceLength:
        """A measured length between two points on a surface, in pixels; it sets the scale of the whole room."""
        if len(points) != 2:
            raise InvalidArgument("REFERENCE_INVALID", "a length lies between two points")
        start, end = _points(points)
        out = visualizations_pb2.ReferenceLength(surface_id=surface_id, to=end, length_m=length_m)
        getattr(out, "from").CopyFrom(start)  # a word of Python's own
        return out

    @staticmethod
    def staging(
        planes: Sequence[visualizations_pb2.PlaneCorners] = (),
        reference: visualizations_pb2.ReferenceLength | None = None,
        relight: str = "",
        placements: Sequence[visualizations_pb2.Placement] = (),
    ) -> visualizations_pb2.Staging:
        """What a picture has beside materials. relight is `day`, `warm` or `cool`."""
        if relight and relight not in RELIGHTS:
            raise InvalidArgument("RELIGHT_INVALID", f"relight is one of {', '.join(RELIGHTS)}")
        return visualizations_pb2.Staging(
            placements=placements,
            planes=planes,
            reference=reference,
            relight=f"RELIGHT_{(relight or 'unspecified').upper()}",
        )

    @staticmethod
    def place(
        sku: str,
        at_px: tuple[float, float] | None = None,
        at_m: tuple[float, float] | None = None,
        surface_id: str = "",
        rotation_deg: float = 0.0,
        scale: float = 1.0,
        mirrored: bool = False,
    ) -> visualizations_pb2.Placement:
        """A thing at a pixel of the photo or at metres on its surface; without either, where there is most room. No SKU:
        for `start_batch`."""
        out = visualizations_pb2.Placement(
            product=f"products/{sku}" if sku else "",
            surface_id=surface_id,
            rotation_deg=rotation_deg,
            scale=scale,
            mirrored=mirrored,
        )
        if at_m is not None:
            out.at_m.x_m, out.at_m.y_m = at_m
        elif at_px is not None:
            out.at_px.x, out.at_px.y = at_px
        return out

    def preview(
        self,
        room: str,
        applications: Sequence[visualizations_pb2.Application] = (),
        staging: visualizations_pb2.Staging | None = None,
    ) -> bytes:
        """A JPEG of at most 2 megapixels."""
        return bytes(self.preview_details(room, applications, staging).image)

    def preview_details(
        self,
        room: str,
        applications: Sequence[visualizations_pb2.Application] = (),
        staging: visualizations_pb2.Staging | None = None,
    ) -> visualizations_pb2.PreviewVisualizationResponse:
        """A preview with what is told of it: where things went, how true its colours are, the scale of its surfaces."""
        request = visualizations_pb2.PreviewVisualizationRequest(room=room, applications=applications, staging=staging)
        made: visualizations_pb2.PreviewVisualizationResponse = self._call(
            self._visualizations.PreviewVisualization, lambda: request, lambda a: a
        )
        return made

    def export(
        self,
        room: str,
        applications: Sequence[visualizations_pb2.Application] = (),
        format: str = "jpeg",
        on_progress: OnProgress | None = None,
        view: str = "after",
        staging: visualizations_pb2.Staging | None = None,
    ) -> visualizations_pb2.Visualization:
        """Render at full size, as `jpeg`, `png`, `webp` or `avif`, and wait for it; `view` is one of VIEWS."""
        if view not in VIEWS:
            raise InvalidArgument("VIEW_INVALID", f"a view is one of {', '.join(VIEWS)}")
        request = visualizations_pb2.ExportVisualizationRequest(
            room=room,
            applications=applications,
            format=f"IMAGE_FORMAT_{format.upper()}",
            view=VIEWS[view],  # type: ignore[arg-type]
            request_id=str(uuid.uuid4()),
            staging=staging,
        )
        operation = self._call(self._visualizations.ExportVisualization, lambda: request, lambda a: a)
        answer = visualizations_pb2.Visualization()
        self._wait(operation, on_progress).response.Unpack(answer)
        return answer

    def generate(
        self,
        room: str,
        surface_id: str,
        prompt: str,
        seed: int = 0,
        format: str = "jpeg",
        on_progress: OnProgress | None = None,
    ) -> visualizations_pb2.Visualization:
        """Have a generative model make up a surface, where one is set up, and wait for it."""
        request = visualizations_pb2.GenerateVisualizationRequest(
            room=room,
            surface_id=surface_id,
            prompt=prompt,
            seed=seed,
            format=f"IMAGE_FORMAT_{format.upper()}",
            request_id=str(uuid.uuid4()),
        )
        operation = self._call(self._visualizations.GenerateVisualization, lambda: request, lambda a: a)
        answer = visualizations_pb2.Visualization()
        self._wait(operation, on_progress).response.Unpack(answer)
        return answer

    def visualization(self, name: str) -> visualizations_pb2.Visualization:
        """What is known of a kept picture."""
        request = visualizations_pb2.GetVisualizationRequest(name=name)
        made: visualizations_pb2.Visualization = self._call(
            self._visualizations.GetVisualization, lambda: request, lambda a: a.visualization
        )
        return made

    def picture(self, visualization: str) -> bytes:
        """The picture of an exported visualization."""
        request = visualizations_pb2.DownloadVisualizationRequest(name=visualization)
        return self._call(
            self._visualizations.DownloadVisualization, lambda: request, lambda a: b"".join(p.chunk for p in a)
        )

    def rerender(self, receipt: str) -> bytes:
        """The picture of a receipt, rendered again."""
        request = visualizations_pb2.RerenderVisualizationRequest(receipt=receipt)
        return self._call(
            self._visualizations.RerenderVisualization, lambda: request, lambda a: b"".join(p.chunk for p in a)
        )

    def verify(self, picture: bytes) -> visualizations_pb2.VerifyRenderResponse:
        """Whether a picture is one of ours and untouched."""

        def parts() -> Iterator[visualizations_pb2.VerifyRenderRequest]:
            for at in range(0, len(picture), CHUNK_BYTES):
                yield visualizations_pb2.VerifyRenderRequest(chunk=picture[at : at + CHUNK_BYTES])

        found: visualizations_pb2.VerifyRenderResponse = self._call(
            self._visualizations.VerifyRender, parts, lambda a: a
        )
        return found

    def compare(
        self,
        room: str,
        variants: Sequence[Sequence[visualizations_pb2.Application]],
        columns: int = 0,
        tile_px: int = 0,
    ) -> Iterator[visualizations_pb2.CompareVisualizationsResponse]:
        """Variants of a room beside each other: a tile each, as soon as it is ready, then the sheet.

        A variant that cannot be rendered is a tile with an error (`from_status` gives the failure).
        """
        request = visualizations_pb2.CompareVisualizationsRequest(
            room=room,
            variants=[visualizations_pb2.Variant(applications=v) for v in variants],
            columns=columns,
            tile_px=tile_px,
        )
        answers = self._visualizations.CompareVisualizations(
            request, timeout=2 * self._timeout, metadata=self._metadata
        )
        try:
            yield from answers
        except grpc.RpcError as error:
            raise from_call(error) from error  # type: ignore[arg-type]
        finally:
            answers.cancel()

    def start_batch(
        self,
        room: str,
        target: visualizations_pb2.Application | visualizations_pb2.Placement,
        skus: Sequence[str],
        format: str = "jpeg",
        long_side_px: int = 0,
        request_id: str = "",
        staging: visualizations_pb2.Staging | None = None,
    ) -> str:
        """Begin to render each of these products on one room, with the same staging; returns `operations/{operation}`, see
        `finish_batch`. target: where materials go (`target`), or how things are placed (`place` of no SKU)."""
        request = visualizations_pb2.BatchVisualizationsRequest(
            room=room,
            application=target if isinstance(target, visualizations_pb2.Application) else None,
            placement=target if isinstance(target, visualizations_pb2.Placement) else None,
            products=[f"products/{sku}" for sku in skus],
            format=f"IMAGE_FORMAT_{format.upper()}",
            long_side_px=long_side_px,
            request_id=request_id or str(uuid.uuid4()),
            staging=staging,
        )
        return self._call(self._visualizations.BatchVisualizations, lambda: request, lambda a: str(a.name))

    def finish_batch(
        self, operation: str, on_progress: OnProgress | None = None
    ) -> visualizations_pb2.BatchVisualizationsResponse:
        """Wait for a batch, whoever began it; `batch_items` tells what came of each product, also before its end."""
        answer = visualizations_pb2.BatchVisualizationsResponse()
        self._wait(longrunning.Operation(name=operation), on_progress).response.Unpack(answer)
        return answer

    def batch_items(self, operation: str) -> Iterator[visualizations_pb2.BatchItem]:
        """The items of a batch, in the order in which they were asked for."""
        request = visualizations_pb2.ListBatchItemsRequest(parent=operation, page_size=PAGE_SIZE)
        for page in self._pages(self._visualizations.ListBatchItems, request):
            yield from page.items

    def cancel(self, operation: str) -> None:
        """End an operation; what a batch has rendered stays."""
        request = longrunning.CancelOperationRequest(name=operation)
        self._call(self._longrunning.CancelOperation, lambda: request, lambda a: a)

    # --- privacy ---

    def export_personal_data(
        self, subject: str = "", on_progress: OnProgress | None = None
    ) -> privacy_pb2.ExportPersonalDataResponse:
        """Have all that is kept of a subject (empty: of the caller) gathered into a zip, and wait for it."""
        request = privacy_pb2.ExportPersonalDataRequest(subject=subject, request_id=str(uuid.uuid4()))
        operation = self._call(self._privacy.ExportPersonalData, lambda: request, lambda a: a)
        answer = privacy_pb2.ExportPersonalDataResponse()
        self._wait(operation, on_progress).response.Unpack(answer)
        return answer

    def download_export(self, export: str) -> Iterator[bytes]:
        """The zip, in parts."""
        request = privacy_pb2.DownloadExportRequest(name=export)
        try:
            for part in self._privacy.DownloadExport(request, timeout=self._timeout * 10, metadata=self._metadata):
                yield part.chunk
        except grpc.RpcError as error:
            raise from_call(error) from error  # type: ignore[arg-type]

    def delete_personal_data(
        self, subject: str = "", on_progress: OnProgress | None = None
    ) -> privacy_pb2.DeletionReceipt:
        """Have all that is kept of a subject (empty: of the caller) removed for good, and wait for the receipt."""
        request = privacy_pb2.DeletePersonalDataRequest(subject=subject, request_id=str(uuid.uuid4()))
        operation = self._call(self._privacy.DeletePersonalData, lambda: request, lambda a: a)
        answer = privacy_pb2.DeletePersonalDataResponse()
        self._wait(operation, on_progress).response.Unpack(answer)
        return answer.receipt

    def anonymize(self, subject: str, on_progress: OnProgress | None = None) -> privacy_pb2.DeletionReceipt:
        """Have photos, pictures and names of a subject removed, and keep what is counted."""
        request = privacy_pb2.AnonymizeSubjectRequest(subject=subject, request_id=str(uuid.uuid4()))
        operation = self._call(self._privacy.AnonymizeSubject, lambda: request, lambda a: a)
        answer = privacy_pb2.AnonymizeSubjectResponse()
        self._wait(operation, on_progress).response.Unpack(answer)
        return answer.receipt

    def verify_deletion_receipt(
        self, receipt: privacy_pb2.DeletionReceipt
    ) -> privacy_pb2.VerifyDeletionReceiptResponse:
        """Whether this installation signed a receipt, and it is as it was."""
        request = privacy_pb2.VerifyDeletionReceiptRequest(receipt=receipt)
        answer: privacy_pb2.VerifyDeletionReceiptResponse = self._call(
            self._privacy.VerifyDeletionReceipt, lambda: request, lambda a: a
        )
        return answer

    # --- what becomes of rooms and visualizations ---

    def rooms(self, filter: str = "", order_by: str = "", show_deleted: bool = False) -> Iterator[rooms_pb2.Room]:
        """All rooms that the caller sees, or those of a filter, newest first; see docs/api.md."""
        request = rooms_pb2.ListRoomsRequest(
            filter=filter, order_by=order_by, show_deleted=show_deleted, page_size=PAGE_SIZE
        )
        for page in self._pages(self._rooms.ListRooms, request):
            yield from page.rooms

    def rename_room(self, room: str, display_name: str, etag: str = "") -> rooms_pb2.Room:
        """Call a room something else; with an etag, only while it still has that."""
        request = rooms_pb2.UpdateRoomRequest(
            room=rooms_pb2.Room(name=room, display_name=display_name, etag=etag), request_id=str(uuid.uuid4())
        )
        request.update_mask.paths.append("display_name")
        changed: rooms_pb2.Room = self._call(self._rooms.UpdateRoom, lambda: request, lambda a: a.room)
        return changed

    def delete_room(self, room: str, etag: str = "") -> rooms_pb2.Room:
        """Delete a room and its visualizations; until `purge_time` they can be brought back."""
        request = rooms_pb2.DeleteRoomRequest(name=room, etag=etag, request_id=str(uuid.uuid4()))
        deleted: rooms_pb2.Room = self._call(self._rooms.DeleteRoom, lambda: request, lambda a: a.room)
        return deleted

    def undelete_room(self, room: str) -> rooms_pb2.Room:
        """Bring back a deleted room, with the visualizations that went with it."""
        request = rooms_pb2.UndeleteRoomRequest(name=room, request_id=str(uuid.uuid4()))
        back: rooms_pb2.Room = self._call(self._rooms.UndeleteRoom, lambda: request, lambda a: a.room)
        return back

    def visualizations(
        self, filter: str = "", order_by: str = "", show_deleted: bool = False
    ) -> Iterator[visualizations_pb2.Visualization]:
        """All visualizations that the caller sees, or those of a filter, newest first; see docs/api.md."""
        request = visualizations_pb2.ListVisualizationsRequest(
            filter=filter, order_by=order_by, show_deleted=show_deleted, page_size=PAGE_SIZE
        )
        for page in self._pages(self._visualizations.ListVisualizations, request):
            yield from page.visualizations

    def save(self, visualization: str, display_name: str = "") -> visualizations_pb2.Visualization:
        """Put a visualization among those that are kept, under a name."""
        request = visualizations_pb2.SaveVisualizationRequest(
            name=visualization, display_name=display_name, request_id=str(uuid.uuid4())
        )
        saved: visualizations_pb2.Visualization = self._call(
            self._visualizations.SaveVisualization, lambda: request, lambda a: a.visualization
        )
        return saved

    def mark(self, visualization: str, favorite: bool = True) -> visualizations_pb2.Visualization:
        """Mark a visualization as a favourite, or not."""
        request = visualizations_pb2.UpdateVisualizationRequest(
            visualization=visualizations_pb2.Visualization(name=visualization, favorite=favorite),
            request_id=str(uuid.uuid4()),
        )
        request.update_mask.paths.append("favorite")
        marked: visualizations_pb2.Visualization = self._call(
            self._visualizations.UpdateVisualization, lambda: request, lambda a: a.visualization
        )
        return marked

    def delete_visualization(self, visualization: str) -> visualizations_pb2.Visualization:
        """Delete a visualization; until `purge_time` it can be brought back."""
        request = visualizations_pb2.DeleteVisualizationRequest(name=visualization, request_id=str(uuid.uuid4()))
        deleted: visualizations_pb2.Visualization = self._call(
            self._visualizations.DeleteVisualization, lambda: request, lambda a: a.visualization
        )
        return deleted

    def undelete_visualization(self, visualization: str) -> visualizations_pb2.Visualization:
        """Bring back a deleted visualization."""
        request = visualizations_pb2.UndeleteVisualizationRequest(name=visualization, request_id=str(uuid.uuid4()))
        back: visualizations_pb2.Visualization = self._call(
            self._visualizations.UndeleteVisualization, lambda: request, lambda a: a.visualization
        )
        return back

    def share(self, visualization: str, days: int = 30) -> shares_pb2.Share:
        """Let whoever has the share's token see the picture, for 1 to 90 days."""
        request = shares_pb2.ShareVisualizationRequest(parent=visualization, request_id=str(uuid.uuid4()))
        # A little less, since clocks differ.
        request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=days, minutes=-5))
        made: shares_pb2.Share = self._call(self._shares.ShareVisualization, lambda: request, lambda a: a.share)
        return made

    def shares(self, visualization: str) -> list[shares_pb2.Share]:
        """All shares of a visualization, newest first, without their tokens."""
        request = shares_pb2.ListSharesRequest(parent=visualization, page_size=PAGE_SIZE)
        return [s for page in self._pages(self._shares.ListShares, request) for s in page.shares]

    def revoke_share(self, share: str) -> shares_pb2.Share:
        """End a share."""
        request = shares_pb2.RevokeShareRequest(name=share)
        over: shares_pb2.Share = self._call(self._shares.RevokeShare, lambda: request, lambda a: a.share)
        return over

    def shared_picture(self, token: str) -> bytes:
        """The picture that a token shows; any key will do, or none."""
        request = shares_pb2.DownloadSharedVisualizationRequest(token=token)
        return self._call(
            self._shares.DownloadSharedVisualization, lambda: request, lambda a: b"".join(p.chunk for p in a)
        )

    # --- quantities ---

    def quantity(
        self,
        room: str,
        surface_id: str,
        sku: str,
        outline: Points = (),
        holes: Sequence[Points] = (),
        rotation_deg: float = 0.0,
        coats: int = 0,
        true_scale: float = 0.0,
        layout: layouts_pb2.Layout | None = None,
        staging: visualizations_pb2.Staging | None = None,
    ) -> quantities_pb2.EstimateQuantityResponse:
        """How much of a product to buy for a surface, or for an outline on its plane in metres. Of the staging, what it
        sets right of the perspective counts."""
        request = quantities_pb2.EstimateQuantityRequest(
            room=room,
            surface_id=surface_id,
            product=f"products/{sku}",
            layout=layout,
            outline=_corners(outline) if outline else None,
            holes=[_corners(h) for h in holes],
            rotation_deg=rotation_deg,
            coats=coats,
            true_scale=true_scale,
            planes=staging.planes if staging else (),
            reference=staging.reference if staging and staging.HasField("reference") else None,
        )
        made: quantities_pb2.EstimateQuantityResponse = self._call(
            self._quantities.EstimateQuantity, lambda: request, lambda a: a
        )
        return made

    # --- proposals, models ---

    def propose(
        self,
        room: str,
        positive: Sequence[tuple[float, float]] = (),
        negative: Sequence[tuple[float, float]] = (),
        box: tuple[float, float, float, float] | None = None,
        words: str = "",
        limit: int = 0,
    ) -> proposals_pb2.ProposeMasksResponse:
        """Masks of what lies at points, fills a box or is named by words; without any of them, of everything."""
        request = proposals_pb2.ProposeMasksRequest(room=room, max_masks=limit)
        if words:
            request.text.words = words
        elif box:
            request.box.min.x, request.box.min.y, request.box.max.x, request.box.max.y = box
        elif positive or negative:
            for into, points in ((request.points.positive, positive), (request.points.negative, negative)):
                for x, y in points:
                    into.add(x=x, y=y)
        else:
            request.everything.SetInParent()
        found: proposals_pb2.ProposeMasksResponse = self._call(
            self._proposals.ProposeMasks, lambda: request, lambda a: a
        )
        return found

    def models(self) -> list[models_pb2.Model]:
        """The networks that are served, with their cards."""
        request = models_pb2.ListModelsRequest(page_size=200)
        return self._call(self._models.ListModels, lambda: request, lambda a: list(a.models))

    def pin_model(self, name: str) -> models_pb2.ModelPin:
        """Use this version from now on; an empty name follows the newest."""
        request = models_pb2.SetModelPinRequest(model=name)
        pin: models_pb2.ModelPin = self._call(self._models.SetModelPin, lambda: request, lambda a: a.pin)
        return pin

    # --- products, system ---

    def products(self, category: str = "", query: str = "") -> list[products_pb2.Product]:
        """All products, of a category, or found by words."""
        method: Any = self._products.ListProducts
        request: Any = products_pb2.ListProductsRequest(category=category, page_size=PAGE_SIZE)
        if query:
            method = self._products.SearchProducts
            request = products_pb2.SearchProductsRequest(query=query, page_size=PAGE_SIZE)
        return [p for page in self._pages(method, request) for p in page.products]

    def product(self, sku: str) -> products_pb2.Product:
        request = products_pb2.GetProductRequest(name=f"products/{sku}")
        product: products_pb2.Product = self._call(self._products.GetProduct, lambda: request, lambda a: a.product)
        return product

    def import_pattern(
        self, url: str, width_m: float, display_name: str = "", seamless: bool = False
    ) -> products_pb2.Product:
        """Make a product of the picture that a URL leads to; width_m of what it shows."""
        request = products_pb2.ImportPatternRequest(
            url=url, width_m=width_m, display_name=display_name, seamless=seamless
        )
        product: products_pb2.Product = self._call(self._products.ImportPattern, lambda: request, lambda a: a.product)
        return product

    def status(self) -> list[system_pb2.Component]:
        """Every server and service."""
        return self._call(
            self._system.GetSystemStatus, lambda: system_pb2.GetSystemStatusRequest(), lambda a: list(a.components)
        )

    # --- operations ---

    @staticmethod
    def _tell(operation: longrunning.Operation, on_progress: OnProgress | None) -> None:
        metadata = operations_pb2.JobMetadata()
        operation.metadata.Unpack(metadata)
        if on_progress:
            on_progress(metadata.stage, metadata.progress_percent)

    # --- the tenant ---

    def usage(self) -> list[usage_pb2.QuotaUsage]:
        """What the tenant may use, and what is used of it."""
        found: list[usage_pb2.QuotaUsage] = self._call(
            self._usage.GetTenantUsage, usage_pb2.GetTenantUsageRequest, lambda a: list(a.quotas)
        )
        return found

    def _wait(self, operation: longrunning.Operation, on_progress: OnProgress | None) -> longrunning.Operation:
        """Follow an operation to its end; a broken stream is taken up again."""
        request = operations_pb2.WatchOperationRequest(name=operation.name)
        last = operation

        def read(answers: Any) -> longrunning.Operation:
            for answer in answers:
                self._tell(answer.operation, on_progress)
                if answer.operation.done:
                    return answer.operation
            return operation

        while not last.done:
            try:
                last = self._call(self._operations.WatchOperation, lambda: request, read)
            except DeadlineExceeded:
                continue  # the job goes on; so do we
        operation = last
        if operation.WhichOneof("result") == "error":
            raise from_status(operation.error)
        return operation


__all__ = ["KINDS", "PATTERNS", "RELIGHTS", "VIEWS", "Client", "RoomvizError", "SessionToken", "from_status"]
