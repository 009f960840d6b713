"""Descriptions of rooms: by a provider where one is configured, and in our own words where it is not or fails."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from weakref import WeakValueDictionary

import structlog

from roomviz.imaging import codec
from roomviz.imaging.lens import Lens
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.runtime.metrics import DESCRIPTIONS, stage
from roomviz.v1 import rooms_pb2
from services.gateway.domain import description, facts
from services.gateway.domain.records import Description, Room
from services.gateway.ports import DescriptionProvider, Descriptions, NoDescription, Objects
from services.gateway.usecases.rooms import RoomCases

log = structlog.get_logger()

BUILT_IN = "built-in"
SENT_PIXELS = 600_000  # of the picture that a provider gets
RETRY_AFTER = timedelta(minutes=5)  # before a provider that failed is asked again for the same room
_SOURCES = {
    rooms_pb2.SCALE_SOURCE_CAMERA_HEIGHT: "camera height",
    rooms_pb2.SCALE_SOURCE_ROOM_HEIGHT: "room height",
    rooms_pb2.SCALE_SOURCE_PROPORTIONS: "proportions",
    rooms_pb2.SCALE_SOURCE_REFERENCE: "reference",
    rooms_pb2.SCALE_SOURCE_ASSUMED_DISTANCE: "assumed distance",
}


@dataclass(frozen=True)
class DescriptionCases:
    rooms: RoomCases
    objects: Objects
    descriptions: Descriptions
    provider: DescriptionProvider | None
    # A lock for each room whose description is being written.
    _coming: WeakValueDictionary[tuple[str, str], asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def get(self, name: str) -> Description:
        """The description of an analyzed room as it is now; written once for each state of its masks."""
        room = await self.rooms.get(name)
        found = await self.rooms.analysis(room)
        digest = hashlib.sha256(found.SerializeToString(deterministic=True)).hexdigest()
        asked = self.provider.name if self.provider else BUILT_IN
        # Asked for several times at once, it is written once.
        async with self._coming.setdefault((room.tenant, room.room_id), asyncio.Lock()):
            kept = await self.descriptions.get(room.tenant, room.room_id, digest, asked)
            if kept is not None and (not kept.fallback_reason or datetime.now(UTC) - kept.create_time < RETRY_AFTER):
                return kept
            with stage("describe"):
                made = await self._written(room, found)
            await self.descriptions.put(room.tenant, room.room_id, digest, asked, made)
            return made

    async def _written(self, room: Room, found: segmentation_pb2.GetAnalysisResponse) -> Description:
        measured, picture = await self._measured(room, found)
        own = description.texts(measured)
        words, provider, reason = own.description, BUILT_IN, ""
        if self.provider is not None:
            try:
                words = await self.provider.describe(f"{own.description}\n{own.technical_summary}", picture)
                provider = self.provider.name
            except NoDescription as error:
                reason = error.reason
                log.warning("no description", provider=self.provider.name, reason=reason, why=str(error))
            except Exception:  # whatever it was: a description is no reason to fail
                reason = "PROVIDER_BROKEN"
                log.exception("no description", provider=self.provider.name)
        DESCRIPTIONS.labels(provider.partition("/")[0], reason).inc()
        return Description(words, own.technical_summary, provider, reason, datetime.now(UTC))

    async def _measured(self, room: Room, found: segmentation_pb2.GetAnalysisResponse) -> tuple[facts.RoomFacts, bytes]:
        """The facts, and the picture as a provider gets it: a JPEG."""
        size, camera = facts.small_size(room.height, room.width), found.analysis.quality
        lens = Lens.of(room.height, room.width, camera.focal_length_px, camera.radial_distortion)
        working = await asyncio.to_thread(codec.decode_rgb, await self.objects.get(room.working_key))
        # One after another: a mask has as many pixels as the photo.
        masks = [await asyncio.to_thread(_small_mask, await self.objects.get(key), size) for key in found.mask_keys]
        surfaces = await asyncio.to_thread(
            lambda: facts.measure(
                [_found(s, lens) for s in found.analysis.surfaces],
                masks,
                codec.resize(working, *size),
                room.width,
                room.height,
            )
        )
        measured = facts.RoomFacts(
            room.width,
            room.height,
            found.analysis.model,
            found.analysis.state == rooms_pb2.ROOM_STATE_READY,
            surfaces,
            _quality(found.analysis.quality),
        )
        sent = codec.preview_size(working.shape[0], working.shape[1], SENT_PIXELS)
        return measured, await asyncio.to_thread(lambda: codec.encode_jpeg(codec.resize(working, *sent)))


def _small_mask(data: bytes, size: tuple[int, int]) -> codec.Image:
    return codec.resize(codec.decode_grey(data), *size)


def _found(s: rooms_pb2.Surface, lens: Lens) -> facts.Found:
    plane = None
    if s.HasField("plane") and len(s.plane.homography) == 9 and len(s.plane.normal) == 3:
        h, n = list(s.plane.homography), list(s.plane.normal)
        plane = facts.Plane(
            facts.matrix(h),
            (n[0], n[1], n[2]),
            s.plane.scale_low,
            s.plane.scale_high,
            _SOURCES.get(s.plane.scale_source, ""),
            lens,
        )
    word = rooms_pb2.SurfaceKind.Name(s.kind).removeprefix("SURFACE_KIND_").lower()
    kind = facts.Kind(word) if word in set(facts.Kind) else facts.Kind.OTHER
    x, y, width, height = s.bbox_px
    return facts.Found(s.surface_id, kind, s.confidence, s.area_fraction, (x, y, width, height), plane)


def _quality(q: rooms_pb2.Quality) -> facts.QualityFacts:
    return facts.QualityFacts(
        q.confidence,
        q.luma,
        q.clipped_fraction,
        q.sharpness,
        q.roll_deg,
        q.pitch_deg,
        q.field_of_view_deg,
        q.camera_measured,
        tuple(facts.Finding(f.reason, f.severe, f.value, f.bar, f.advice) for f in q.findings),
    )
