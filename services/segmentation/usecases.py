"""Analyze a room: photo in, surfaces out, in the order it happens."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from roomviz.errors import FailedPrecondition, NotFound
from roomviz.imaging.codec import decode_rgb, encode_png
from roomviz.runtime.metrics import stage
from services.segmentation.domain import labels, surfaces
from services.segmentation.domain.model import ModelCard
from services.segmentation.domain.record import AnalysisRecord, PlaneRecord, SurfaceRecord
from services.segmentation.domain.surfaces import Analysis
from services.segmentation.ports import Analyses, Cards, Network, Objects, Pin, Pins, Write

Progress = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True)
class AnalyzeRoom:
    network: Network
    objects: Objects
    analyses: Analyses
    pins: Pins
    cpu: Executor

    async def __call__(
        self,
        tenant: str,
        operation: str,
        attempt: int,
        room: str,
        photo_key: str,
        focal_35mm: float,
        asked: float,
        progress: Progress,
    ) -> tuple[AnalysisRecord, Write]:
        """The analysis, and how to keep it; `asked` orders requests for the same room.

        Masks are stored under keys of this attempt; the row makes them visible.
        """
        run = asyncio.get_running_loop().run_in_executor
        await progress("decode", 5)
        with stage("decode"):
            data = await self.objects.get(photo_key)
            photo = await run(self.cpu, decode_rgb, data)
            working = await run(self.cpu, surfaces.working_copy, photo)
            images = await run(self.cpu, labels.network_input, working)
        await progress("segment", 25)
        with stage("segment"):
            pin = await self.pins.get(tenant)
            prediction = await self.network.predict(images, pin.version if pin else "")
        await progress("geometry", 50)
        with stage("geometry"):
            found = await run(
                self.cpu, surfaces.layout, working, prediction.surface_logits, prediction.normals, focal_35mm
            )
        await progress("masks", 65)
        with stage("masks"):
            analysis = await run(self.cpu, surfaces.analyze, photo, working, found)
        await progress("store", 85)
        with stage("store"):
            prefix = f"masks/{room.removeprefix('rooms/')}/{operation}-{attempt}"
            keys = [f"{prefix}/{s.surface_id}.png" for s in analysis.surfaces]

            async def put(key: str, index: int) -> None:
                png = await run(self.cpu, encode_png, analysis.surfaces[index].alpha)
                await self.objects.put(key, png, "image/png")

            async with asyncio.TaskGroup() as group:
                for i, key in enumerate(keys):
                    group.create_task(put(key, i))
        record = _record(room, prediction.model, analysis, keys)
        return record, self.analyses.save(tenant, operation, asked, record)


def _record(room: str, model: str, analysis: Analysis, keys: list[str]) -> AnalysisRecord:
    kept = []
    for s, key in zip(analysis.surfaces, keys, strict=True):
        plane = None
        if s.plane is not None:
            plane = PlaneRecord(
                s.plane.normal.tolist(),
                s.plane.pixel_from_plane.ravel().tolist(),
                s.plane.scale_source,
                *s.plane.scale_range,
            )
        kept.append(SurfaceRecord(s.surface_id, s.kind, s.confidence, s.area_fraction, list(s.bbox), key, plane))
    return AnalysisRecord(
        room,
        model,
        kept,
        analysis.camera.measured,
        analysis.camera.focal,
        analysis.quality,
    )


@dataclass(frozen=True)
class ModelCases:
    """model: the surface network's name; other networks are listed, but nobody is pinned to them."""

    model: str
    cards: Cards
    pins: Pins
    network: Network

    async def all(self) -> list[tuple[ModelCard, bool, bool]]:
        """Each version, whether it is served, and whether it is the newest of its model that is."""
        cards = await asyncio.to_thread(self.cards.all)
        ready = await asyncio.gather(*(self.network.serves(c.model, c.version) for c in cards))
        out, seen = [], set()
        for card, served in zip(cards, ready, strict=True):
            out.append((card, served, served and card.model not in seen))
            if served:
                seen.add(card.model)
        return out

    async def get(self, name: str) -> tuple[ModelCard, bool, bool]:
        for row in await self.all():
            if row[0].name == name:
                return row
        raise NotFound("MODEL_NOT_FOUND", f"there is no model {name[:80]}", {"model": name[:80]})

    async def pin(self, tenant: str) -> Pin | None:
        return await self.pins.get(tenant)

    async def set_pin(self, tenant: str, name: str) -> Pin:
        if not name:
            return await self.pins.set(tenant, "")
        card, served, _ = await self.get(name)
        if card.model != self.model:
            raise FailedPrecondition("MODEL_NOT_PINNABLE", f"{card.model} finds no surfaces; pin a {self.model}")
        if not served:
            raise FailedPrecondition("MODEL_NOT_READY", f"{name} is known but not served", {"model": name})
        return await self.pins.set(tenant, card.version)
