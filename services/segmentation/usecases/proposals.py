"""Masks by prompt, chosen among what the network found when the room was analyzed, or made by a prompted network."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

import cv2

from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.imaging.codec import decode_rgb, encode_png
from roomviz.runtime.metrics import stage
from services.segmentation.domain import prompted, prompts
from services.segmentation.domain.prompts import Selection, TextEncoder
from services.segmentation.domain.proposals import Float, Letterbox, Proposals
from services.segmentation.ports import Analyses, Objects
from services.segmentation.usecases.prompted import PromptedMasks

Given = TypeVarTuple("Given")
Result = TypeVar("Result")
Point = tuple[float, float]

POINTS_MAX, WORDS_MAX, MASKS_MAX, MASKS_DEFAULT = 64, 200, 200, 50


@dataclass(frozen=True)
class Prompt:
    """One of: points, a box, words; none of them is everything. Pixels of the normalized photo."""

    positive: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    box: tuple[float, float, float, float] | None = None
    words: str = ""


@dataclass(frozen=True)
class ProposedMask:
    """bbox x, y, width, height in pixels of the photo; png: grey, of the box's size."""

    score: float
    bbox: tuple[int, int, int, int]
    area_fraction: float
    png: bytes


@dataclass(frozen=True)
class ProposalCases:
    """prompted: answers points and boxes where there is one; else they choose among the proposals."""

    objects: Objects
    analyses: Analyses
    encoder: TextEncoder | None
    cpu: Executor
    prompted: PromptedMasks | None = None

    async def propose(self, tenant: str, room: str, prompt: Prompt, limit: int) -> tuple[list[ProposedMask], str]:
        """Masks that answer the prompt, best first, and the network that found them."""
        if not 0 <= limit <= MASKS_MAX:
            raise InvalidArgument("PROMPT_INVALID", f"max_masks must be 0 to {MASKS_MAX}", {"field": "max_masks"})
        record = await self.analyses.get(tenant, room)
        if record is None:
            raise FailedPrecondition(
                "ROOM_NOT_ANALYZED", f"{room} was not analyzed yet; call AnalyzeRoom first", {"room": room}
            )
        pointed = bool(prompt.positive or prompt.box)
        answers = self.prompted if pointed and record.photo_key else None
        if not record.proposals_key and not answers:
            raise FailedPrecondition(
                "ROOM_WITHOUT_PROPOSALS", "the room was analyzed before proposals were there; analyze it again"
            )
        _check(prompt, record.width, record.height)
        if prompt.words and self.encoder is None:
            raise prompts.text_unavailable()
        if answers:
            found, model = await answers(tenant, record.photo_key, lambda box: _in_input(prompt, box))
            # The best alone, as a prompt on the proposals has one answer: the others are readings of the same prompt.
            chosen = [Selection((0,), float(found.scores[0]))] if len(found) else []
        else:
            model = record.proposals_model
            with stage("load"):
                found = Proposals.from_bytes(await self.objects.get(record.proposals_key))
            with stage("prompt"):
                chosen = await self._chosen(found, record.photo_key, prompt)
        with stage("decode"):
            size = (record.height, record.width)
            made = await self._run(_draw, found, chosen[: limit or MASKS_DEFAULT], *size)
        return made, model

    async def _chosen(self, found: Proposals, photo_key: str, prompt: Prompt) -> list[Selection]:
        if prompt.words:
            assert self.encoder is not None
            photo = await self._run(decode_rgb, await self.objects.get(photo_key))
            index, crops = await self._run(prompts.crops, found, photo)
            if not len(index):
                return []
            words, images = await asyncio.gather(self.encoder.text(prompt.words), self.encoder.images(crops))
            picked = prompts.text(index, images, words)
        elif prompt.box is not None:
            picked = prompts.box(found, prompt.box)
        elif prompt.positive:
            picked = prompts.points(found, prompt.positive, prompt.negative)
        else:
            return sorted(prompts.everything(found), key=lambda s: -s.score)
        return [picked] if picked else []

    async def _run(self, function: Callable[[*Given], Result], *arguments: *Given) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self.cpu, function, *arguments)


def _in_input(prompt: Prompt, box: Letterbox) -> tuple[Float, Float]:
    if prompt.box is not None:
        return prompted.corners(prompt.box, box)
    return prompted.points(prompt.positive, prompt.negative, box)


def _check(prompt: Prompt, width: int, height: int) -> None:
    points = (*prompt.positive, *prompt.negative, *((prompt.box[:2], prompt.box[2:]) if prompt.box else ()))
    if len(prompt.positive) > POINTS_MAX or len(prompt.negative) > POINTS_MAX:
        raise InvalidArgument("PROMPT_INVALID", f"a prompt has at most {POINTS_MAX} points of a kind")
    if prompt.negative and not prompt.positive:
        raise InvalidArgument("PROMPT_INVALID", "negative points need a positive one", {"field": "points.positive"})
    # Written so that what is no number is refused too.
    if not all(0 <= x <= width and 0 <= y <= height for x, y in points):
        raise InvalidArgument("PROMPT_INVALID", f"points lie in the photo, which has {width} x {height} pixels")
    if prompt.box and not (prompt.box[0] < prompt.box[2] and prompt.box[1] < prompt.box[3]):
        raise InvalidArgument("PROMPT_INVALID", "a box goes from top left to bottom right", {"field": "box"})
    if len(prompt.words) > WORDS_MAX:
        raise InvalidArgument("PROMPT_INVALID", f"words may have {WORDS_MAX} characters", {"field": "text.words"})


def _draw(found: Proposals, chosen: list[Selection], height: int, width: int) -> list[ProposedMask]:
    made = []
    for selection in chosen:
        mask = prompts.mask(found, selection, height, width).astype("uint8")
        x, y, w, h = cv2.boundingRect(mask)
        if w and h:
            png = encode_png(mask[y : y + h, x : x + w] * 255)
            made.append(ProposedMask(selection.score, (x, y, w, h), float(mask.mean()), png))
    return made
