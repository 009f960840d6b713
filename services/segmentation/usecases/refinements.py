"""Corrections: a click in, new masks and a step in the log out. Nothing here can reach a network of any kind."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TypeVar, TypeVarTuple

from roomviz.errors import Aborted, FailedPrecondition, NotFound
from roomviz.imaging.codec import decode_grey, encode_png
from roomviz.runtime.memory import Memory
from roomviz.runtime.metrics import stage
from services.segmentation.domain import features, refine, revision
from services.segmentation.domain.features import Features
from services.segmentation.domain.history import Event, Kind
from services.segmentation.domain.masks import Alpha, Masks
from services.segmentation.domain.record import AnalysisRecord, SurfaceRecord
from services.segmentation.domain.refine import Pins
from services.segmentation.domain.revision import Revised
from services.segmentation.domain.strokes import Stroke, check
from services.segmentation.ports import Draft, Log, Objects, OpenLog, Refinements
from services.segmentation.usecases.locks import RoomLocks

Given = TypeVarTuple("Given")
Result = TypeVar("Result")

STEPS_MAX = 1000


@dataclass(frozen=True)
class State:
    """The masks of a revision, ready to be corrected."""

    masks: Masks
    pins: Pins

    @property
    def nbytes(self) -> int:
        return self.masks.nbytes + self.pins.at.nbytes + self.pins.value.nbytes


@dataclass(frozen=True)
class Done:
    """A step, the etag of what it made, and the surfaces whose masks it changed."""

    event: Event
    etag: str
    surfaces: tuple[SurfaceRecord, ...]
    active: bool


@dataclass(frozen=True)
class Replayed:
    surface_id: str
    replayed_id: str
    iou: float
    automatic_iou: float


@dataclass(frozen=True)
class Replay:
    surfaces: tuple[Replayed, ...]
    count: int
    revision: int
    model: str


def etag_of(head: int, surfaces: Sequence[SurfaceRecord]) -> str:
    """Names the masks of a room as they are: two are the same where every mask is, at the same point of the log."""
    text = json.dumps([head, [s.mask_key for s in surfaces]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class RefinementCases:
    def __init__(self, objects: Objects, refinements: Refinements, cpu: Executor, memory_bytes_max: int):
        self._objects, self._refinements, self._cpu = objects, refinements, cpu
        self._features = Memory[Features](memory_bytes_max // 2)
        self._states = Memory[State](memory_bytes_max // 2)
        self._locks = RoomLocks()

    def forget(self, which: Callable[[str], bool]) -> None:
        """Drop what is in memory of these rooms."""
        self._features.forget(which)
        self._states.forget(which)

    # --- steps ---

    async def refine(
        self, tenant: str, room: str, surface_id: str, strokes: list[Stroke], etag: str, request_id: str
    ) -> Done:
        fingerprint = _fingerprint(Kind.REFINE, surface_id, strokes)
        async with self._locks.held(tenant, room), self._refinements.opened(tenant, room) as log:
            log = _analyzed(log, room)
            known = await log.known(request_id, fingerprint) if request_id else None
            if known is not None:
                return await self._again(log, known)
            _unchanged(log, etag)
            analysis = log.analysis
            if not analysis.features_key:
                raise FailedPrecondition(
                    "ROOM_WITHOUT_FEATURES", "the room was analyzed before corrections were there; analyze it again"
                )
            check(strokes, analysis.height, analysis.width)
            with stage("load"):
                known_features, state = await self._ready(tenant, log)
            index = state.masks.index(surface_id)
            if index is None:
                raise NotFound(
                    "SURFACE_NOT_FOUND", f"there is no surface {surface_id[:64]}", {"surface": surface_id[:64]}
                )
            with stage("refine"):
                photo = (analysis.height, analysis.width)
                step = await self._run(refine.apply, known_features, state.masks, state.pins, index, strokes, photo)
                old = await self._old(log.surfaces, state.masks, step.changed, photo)
                revised = await self._run(revision.at_photo_size, state.masks, step, old, strokes, index)
            with stage("store"):
                surfaces = await self._stored(room, log, state.masks, revised)
                draft = Draft(
                    Kind.REFINE, surface_id, tuple(strokes), tuple(surfaces), request_id, fingerprint, revised.box
                )
                event = await log.add(draft)
        self._states.put((tenant, room, event.revision), State(revised.masks, revised.pins))
        changed = tuple(surfaces[k] for k in sorted(revised.full))
        return Done(event, etag_of(event.revision, surfaces), changed, True)

    async def move(self, tenant: str, room: str, kind: Kind, etag: str, request_id: str) -> Done:
        """Undo, redo or reset."""
        fingerprint = _fingerprint(kind, "", [])
        async with self._locks.held(tenant, room), self._refinements.opened(tenant, room) as log:
            log = _analyzed(log, room)
            known = await log.known(request_id, fingerprint) if request_id else None
            if known is not None:
                return await self._again(log, known)
            _unchanged(log, etag)
            if kind is Kind.UNDO:
                surfaces = await log.at(log.history.undo())
            elif kind is Kind.REDO:
                surfaces = await log.at(log.history.redo())
            else:
                surfaces = tuple(log.analysis.surfaces)
            event = await log.add(Draft(kind, "", (), surfaces, request_id, fingerprint))
            before = {s.mask_key for s in log.surfaces}
        changed = tuple(s for s in surfaces if s.mask_key not in before)
        return Done(event, etag_of(event.revision, surfaces), changed, False)

    # --- reading ---

    async def analysis(self, tenant: str, room: str) -> AnalysisRecord | None:
        """The newest analysis, its surfaces as they are now."""
        return await self._refinements.latest(tenant, room)

    async def log(self, tenant: str, room: str) -> Log:
        found = await self._refinements.read(tenant, room)
        if found is None:
            raise _not_analyzed(room)
        return found

    async def replay(self, tenant: str, room: str) -> Replay:
        """Apply the corrections to the newest automatic masks, beside those that people saw. Keeps nothing."""
        log = await self.log(tenant, room)
        events = log.history.replayable
        if not events:
            return Replay((), 0, 0, log.analysis.model)
        analysis = log.analysis
        if not analysis.features_key:
            raise FailedPrecondition(
                "ROOM_WITHOUT_FEATURES", "the room was analyzed before corrections were there; analyze it again"
            )
        known = await self._known(analysis.features_key)
        photo = (analysis.height, analysis.width)
        old_surfaces = await self._refinements.at(tenant, room, events[-1].revision)
        old = revision.working_masks(old_surfaces, await self._alphas(old_surfaces), known.shape)
        alphas = dict(enumerate(await self._alphas(analysis.surfaces)))
        automatic = await self._run(revision.working_masks, analysis.surfaces, list(alphas.values()), known.shape)
        names = list(dict.fromkeys(e.surface_id for e in events))
        targets = {n: _target(old, automatic, n) for n in names}
        masks, pins = automatic, refine.no_pins()
        for e in events:
            target = targets[e.surface_id]
            if target is None:
                continue
            step = await self._run(refine.apply, known, masks, pins, target, e.strokes, photo)
            before = {k: alphas[k] for k in step.changed}
            revised = await self._run(revision.at_photo_size, masks, step, before, e.strokes, target)
            alphas |= revised.full
            masks, pins = revised.masks, revised.pins
        out = []
        for name in names:
            target, own = targets[name], old.index(name)
            assert own is not None
            if target is None:
                out.append(Replayed(name, "", 0.0, 0.0))
                continue
            mask = old.owner == own
            scores = (revision.iou(mask, m.owner == target) for m in (masks, automatic))
            out.append(Replayed(name, masks.layers[target].surface_id, *scores))
        return Replay(tuple(out), len(events), events[-1].revision, analysis.model)

    # --- inside ---

    async def _run(self, function: Callable[[*Given], Result], *arguments: *Given) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._cpu, function, *arguments)

    async def _again(self, log: OpenLog, event: Event) -> Done:
        """What a request that comes again is told: its step, and the surfaces that it changed."""
        before = await log.at(_before(log, event))
        surfaces = await log.at(event)
        old = {s.mask_key for s in before}
        changed = tuple(s for s in surfaces if s.mask_key not in old)
        active = event in log.history.active
        return Done(event, etag_of(event.revision, surfaces), changed, active)

    async def _known(self, key: str) -> Features:
        found = self._features.get(key)
        if found is None:
            found = await self._run(features.unpack, await self._objects.get(key))
            self._features.put(key, found)
        return found

    async def _alphas(self, surfaces: Sequence[SurfaceRecord]) -> list[Alpha]:
        async def one(key: str) -> Alpha:
            return await self._run(decode_grey, await self._objects.get(key))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(s.mask_key)) for s in surfaces]
        return [t.result() for t in tasks]

    async def _ready(self, tenant: str, log: OpenLog) -> tuple[Features, State]:
        """Features and masks as they are now, from memory or from the store."""
        analysis, current = log.analysis, log.history.current
        known = await self._known(analysis.features_key)
        key = (tenant, analysis.room, current.revision if current else analysis.features_key)
        state = self._states.get(key)
        if state is None:
            alphas = await self._alphas(log.surfaces)
            state = await self._run(_state, log, alphas, known.shape)
            self._states.put(key, state)
        return known, state

    async def _old(
        self, surfaces: Sequence[SurfaceRecord], masks: Masks, changed: Sequence[int], photo: tuple[int, int]
    ) -> dict[int, Alpha]:
        """Masks at the photo's size of the layers that change."""
        if masks.shape == photo:
            return {k: masks.full(k) for k in changed}
        return dict(zip(changed, await self._alphas([surfaces[k] for k in changed]), strict=True))

    async def _stored(self, room: str, log: OpenLog, before: Masks, revised: Revised) -> list[SurfaceRecord]:
        """Write the masks that changed under new keys; the records of all surfaces after the step."""
        # No two attempts write the same key, so a step that is not kept harms nothing.
        prefix = f"masks/{room.removeprefix('rooms/')}/r{log.history.head + 1}-{secrets.token_hex(4)}"
        surfaces = list(log.surfaces)

        async def one(k: int, alpha: Alpha) -> None:
            key = f"{prefix}/{surfaces[k].surface_id}.png"
            png = await self._run(encode_png, alpha)
            await self._objects.put(key, png, "image/png")
            surfaces[k] = await self._run(revision.measured, surfaces[k], before, revised.masks, k, alpha, key)

        async with asyncio.TaskGroup() as group:
            for k, alpha in revised.full.items():
                group.create_task(one(k, alpha))
        return surfaces


def _state(log: OpenLog, alphas: list[Alpha], size: tuple[int, int]) -> State:
    masks = revision.working_masks(log.surfaces, alphas, size)
    pins = refine.no_pins()
    photo = (log.analysis.height, log.analysis.width)
    for e in log.history.active:
        index = masks.index(e.surface_id)
        if index is not None:
            pins = refine.pinned(pins, index, e.strokes, photo, size)
    return State(masks, pins)


def _before(log: OpenLog, event: Event) -> Event | None:
    """The step before, whose masks this one found: any step's row has the masks as they were after it."""
    return replace(event, revision=event.revision - 1) if event.revision > 1 else None


def _target(old: Masks, automatic: Masks, surface_id: str) -> int | None:
    own = old.index(surface_id)
    if own is None:
        return None
    same = automatic.index(surface_id)
    mask = old.owner == own
    best = revision.counterpart(mask, old.layers[own].kind, automatic)
    # The name counts where nothing overlaps: what was a few pixels before may be somewhere else now.
    if best is None or (not (mask & (automatic.owner == best)).any() and same is not None):
        return same if same is not None and automatic.layers[same].kind == old.layers[own].kind else best
    return best


def _not_analyzed(room: str) -> FailedPrecondition:
    return FailedPrecondition(
        "ROOM_NOT_ANALYZED", f"{room} was not analyzed yet; call AnalyzeRoom first", {"room": room}
    )


def _analyzed(log: OpenLog | None, room: str) -> OpenLog:
    if log is None:
        raise _not_analyzed(room)
    if log.history.head >= STEPS_MAX:
        raise FailedPrecondition("REFINEMENTS_FULL", f"the log of a room holds {STEPS_MAX} steps")
    return log


def _unchanged(log: OpenLog, etag: str) -> None:
    if etag and etag != etag_of(log.history.head, log.surfaces):
        raise Aborted("REVISION_CHANGED", "another change came first; read the masks again")


def _fingerprint(kind: Kind, surface_id: str, strokes: Sequence[Stroke]) -> str:
    text = json.dumps([kind.value, surface_id, [s.to_json() for s in strokes]])
    return hashlib.sha256(text.encode()).hexdigest()
