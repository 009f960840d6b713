"""Analyze a room: photo in, surfaces out, in the order it happens."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roomviz.errors import FailedPrecondition, NotFound
from roomviz.imaging.codec import Image, decode_grey, decode_rgb, encode_png
from roomviz.runtime.metrics import stage
from services.segmentation.domain import features, labels, proposals, surfaces
from services.segmentation.domain.identity import Known, kept_ids, small
from services.segmentation.domain.record import AnalysisRecord, PlaneRecord, SurfaceRecord
from services.segmentation.domain.superpixels import Float, Superpixels, superpixels
from services.segmentation.domain.surfaces import Analysis
from services.segmentation.ports import Analyses, ModelPins, Network, Objects, Prediction, Proposer, Write

KNOWN_MAX = 100  # surfaces that new ones are compared with; the latest

Progress = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True)
class AnalyzeRoom:
    network: Network
    proposer: Proposer
    objects: Objects
    analyses: Analyses
    pins: ModelPins
    cpu: Executor
    proposals_long_side: int  # at which the photo is shown to the network of proposals, a multiple of 32

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
            inputs = await run(self.cpu, labels.network_inputs, working)
            letter, box = await run(self.cpu, proposals.network_input, working, self.proposals_long_side)
        await progress("segment", 25)
        with stage("segment"):
            model, version = await self._pinned(tenant)
            prediction, raw, split = await asyncio.gather(
                self._predicted(inputs, model, version),
                self.proposer.propose(letter),
                run(self.cpu, superpixels, working),
            )
        await progress("geometry", 50)
        with stage("geometry"):
            things = await run(self.cpu, proposals.decode, raw.predictions, raw.prototypes, box)
            found = await run(
                self.cpu,
                surfaces.layout,
                working,
                split,
                prediction.surface_logits,
                prediction.normals,
                focal_35mm,
                things,
                prediction.junction_logits,
            )
        await progress("masks", 65)
        normals = labels.mean_normals(prediction.normals, *found.probability.shape[1:])
        with stage("masks"):
            analysis, known = await asyncio.gather(
                run(self.cpu, surfaces.analyze, photo, working, split, found),
                run(self.cpu, _features, working, split, found.settled, normals),
            )
        await progress("store", 85)
        with stage("store"):
            before = await self.analyses.get(tenant, room)
            had = [(s.surface_id, s.mask_key) for s in before.surfaces] + before.retired if before else []
            named = [(s.surface_id, s.alpha) for s in analysis.surfaces]
            ids = await run(self.cpu, kept_ids, await self._known(had), named)
            retired = [(i, mask_key) for i, mask_key in had if i not in ids]
            renamed = [replace(s, surface_id=i) for s, i in zip(analysis.surfaces, ids, strict=True)]
            analysis = replace(analysis, surfaces=renamed)
            prefix = f"masks/{room.removeprefix('rooms/')}/{operation}-{attempt}"
            keys = [f"{prefix}/{s.surface_id}.png" for s in analysis.surfaces]

            async def put(key: str, index: int) -> None:
                png = await run(self.cpu, encode_png, analysis.surfaces[index].alpha)
                await self.objects.put(key, png, "image/png")

            async with asyncio.TaskGroup() as group:
                for i, key in enumerate(keys):
                    group.create_task(put(key, i))
                features_key = f"{prefix}/features.npz"
                group.create_task(self.objects.put(features_key, known, "application/octet-stream"))
                proposals_key = f"{prefix}/proposals.npz"
                kept = await run(self.cpu, things.to_bytes)
                group.create_task(self.objects.put(proposals_key, kept, "application/octet-stream"))
                card = labels.mean_grey_card(prediction.grey_card)
                light_key = f"{prefix}/light.png" if card is not None else ""
                if card is not None:
                    group.create_task(self.objects.put(light_key, encode_png(card), "image/png"))
        height, width = photo.shape[:2]
        record = replace(
            _record(room, prediction.model, analysis, keys),
            features_key=features_key,
            photo_key=photo_key,
            proposals_key=proposals_key,
            proposals_model=raw.model,
            light_key=light_key,
            height=height,
            width=width,
            retired=retired,
        )
        return record, self.analyses.save(tenant, operation, asked, record)

    async def _known(self, had: Sequence[tuple[str, str]]) -> list[Known]:
        """Ids and masks of surfaces that the room has had, so that they keep their ids."""

        async def one(surface_id: str, mask_key: str) -> Known:
            try:
                png = await self.objects.get(mask_key)
            except NotFound:  # its id is still no other surface's
                return surface_id, np.zeros((1, 1), np.uint8)
            return surface_id, await asyncio.get_running_loop().run_in_executor(self.cpu, _small, png)

        gone = [(surface_id, np.zeros((1, 1), np.uint8)) for surface_id, _ in had[KNOWN_MAX:]]
        return [*await asyncio.gather(*(one(*surface) for surface in had[:KNOWN_MAX])), *gone]

    async def _pinned(self, tenant: str) -> tuple[str, str]:
        """Model and version that the tenant is pinned to; empty where it is to none.

        Raises:
            FailedPrecondition: MODEL_NOT_READY.
        """
        pin = await self.pins.get(tenant)
        if pin is None or not pin.version:
            return "", ""
        if not pin.model or await self.network.serves(pin.model, pin.version):
            return pin.model, pin.version
        await self.network.probe()  # a server that does not answer is no reason to give up
        if await self.network.serves(pin.model, pin.version):
            return pin.model, pin.version
        name = f"models/{pin.model}/versions/{pin.version}"
        message = f"{name}, which the tenant is pinned to, is not served; pin another, or none"
        raise FailedPrecondition("MODEL_NOT_READY", message, {"model": name})

    async def _predicted(self, inputs: Sequence[NDArray[np.uint8]], model: str, version: str) -> Prediction:
        """What the network tells of the photo and of its mirror image, both by the same version."""
        small, large = await asyncio.gather(*(self.network.predict(image, model, version) for image in inputs))
        if small.model != large.model:  # a newer one was loaded in between
            small = await self.network.predict(inputs[0], model, large.model.rpartition("/")[2])
        return await asyncio.get_running_loop().run_in_executor(self.cpu, _together, small, large)


def _small(png: bytes) -> NDArray[np.uint8]:
    return small(decode_grey(png))


def _together(small: Prediction, large: Prediction) -> Prediction:
    outputs = ((p.surface_logits, p.junction_logits, p.normals, p.grey_card) for p in (small, large))
    surface_logits, junction_logits, normals, grey_card = labels.together(*outputs)
    return Prediction(surface_logits, junction_logits, normals, grey_card, large.model)


def _features(working: Image, split: Superpixels, p: Float, normals: Float) -> bytes:
    """What clicks on this photo will need, as it is kept."""
    return features.pack(features.compute(working, split, p, normals))


def _record(room: str, model: str, analysis: Analysis, keys: list[str]) -> AnalysisRecord:
    kept = []
    for s, key in zip(analysis.surfaces, keys, strict=True):
        plane = None
        if s.plane is not None:
            plane = PlaneRecord(
                # Adding 0 makes 0 of -0, whose sign the database does not keep.
                (s.plane.normal + 0.0).tolist(),
                (s.plane.pixel_from_plane.ravel() + 0.0).tolist(),
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
        radial_distortion=analysis.camera.bend,
    )
