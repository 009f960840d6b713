"""Make the picture that an order asks for: the one way from an order to bytes, whoever waits for them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from roomviz.errors import FailedPrecondition, unwrap
from roomviz.imaging.codec import Image, preview_size, within
from roomviz.runtime.context import known
from roomviz.runtime.metrics import stage
from services.compositor.domain import encode, views, xmp
from services.compositor.domain.encode import Rows
from services.compositor.ports import Order, Recipes, Report
from services.compositor.usecases.budget import Budget, memory_of
from services.compositor.usecases.generate import Generate
from services.compositor.usecases.renderer import PREVIEW_QUALITY, Renderer, check
from services.compositor.usecases.report import report_of

# Tiles of a sheet in work at a time: while one is drawn, the texture of the next is read. More would only hold memory.
AT_A_TIME = 3

Progress = Callable[[str, int], Awaitable[None]]


async def quietly(stage: str, percent: int) -> None:
    """Progress that nobody wants to hear of."""


@dataclass(frozen=True)
class Made:
    """Of a preview also picture (H, W, 3) uint8."""

    data: bytes = field(repr=False)
    width: int
    height: int
    report: Report = field(default_factory=Report)
    picture: Image | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class MakePicture:
    """Renders, writes, and keeps the recipe meanwhile. The same order gives the same bytes. `generate` is None where
    nothing can be made up. Pictures of more than a preview's size share `budget`."""

    renderer: Renderer
    recipes: Recipes
    budget: Budget
    generate: Generate | None = None

    async def __call__(self, order: Order, progress: Progress = quietly, report: bool = True) -> Made:
        """`report`: measure what the picture shows of its colours and scales."""
        if not order.generated:
            check(order.spec)
        height, width = size_of(order)
        sides = 2 if order.output.view == "side_by_side" else 1
        encode.check_output(order.output.format, height, sides * width, order.output.view == "layer")
        try:
            async with asyncio.TaskGroup() as group:
                # A receipt that cannot be honoured would be worse than no picture.
                group.create_task(self.recipes.keep(order))
                made = group.create_task(self._make(order, height, width, progress, report))
        except BaseExceptionGroup as failed:
            raise unwrap(failed) from failed
        return made.result()

    async def sheet(self, pixels: Image, order: Order | None) -> bytes:
        """A sheet as it is written, its recipe kept; nothing can be made again of one that is grey all over."""
        if order is not None:
            await self.recipes.keep(order)
        with stage("encode"):
            return await self.renderer.encoded(pixels, "jpeg", _packet(order) if order else b"", PREVIEW_QUALITY)

    async def _make(self, order: Order, height: int, width: int, progress: Progress, report: bool) -> Made:
        spec, output = order.spec, order.output
        packet = _packet(order)
        await progress("render", 10)
        if order.generation is not None:
            if self.generate is None:
                raise FailedPrecondition("GENERATION_OFF", "no generative service is set up here")
            return Made(await self.generate(order, order.generation, height, width, packet), width, height)
        if output.preview:
            made = await self.renderer.picture(spec, spec.working_key, height, width, keep=True)
            with stage("encode"):
                data = xmp.in_jpeg(await self.renderer.jpeg(made, spec.working_key), packet)
            told = await self.renderer.run(report_of, spec, made) if report else Report()
            return Made(data, width, height, told, made.picture)
        if _as_preview(order):
            data, told = await self._written(order, height, width, progress, packet, report)
        else:
            asked, wanted = known(), memory_of(output.format, output.view, height, width)
            async with self.budget.held(wanted, background=asked is None or asked.background):
                data, told = await self._written(order, height, width, progress, packet, report)
        return Made(data, 2 * width if output.view == "side_by_side" else width, height, told)

    async def _written(
        self, order: Order, height: int, width: int, progress: Progress, packet: bytes, report: bool
    ) -> tuple[bytes, Report]:
        picture, told = await self._view(order, height, width, report)
        await progress("encode", 70)
        with stage("encode"):
            return await self.renderer.encoded(picture, order.output.format, packet), told

    async def _view(self, order: Order, height: int, width: int, report: bool) -> tuple[Image | Rows, Report]:
        spec, view = order.spec, order.output.view
        if view == "before":
            return await self.renderer.photo(spec.photo_key, height, width), Report()
        small = _as_preview(order)
        made = await self.renderer.picture(
            spec,
            spec.working_key if small else spec.photo_key,
            height,
            width,
            keep=small,
            coverage=view == "layer",
        )
        told = await self.renderer.run(report_of, spec, made) if report else Report()
        if view == "side_by_side":
            return views.side_by_side(made.photo, made.picture), told
        if made.coverage is not None:
            return views.layer(made.photo, made.picture, made.coverage), told
        return made.picture, told


def _packet(order: Order) -> bytes:
    return xmp.packet(xmp.Mark(order.receipt, order.renderer, order.generated))


def _as_preview(order: Order) -> bool:
    """Whether a picture is made as previews are, and takes as little memory."""
    return order.output.view == "after" and output_fits_preview(order)


def output_fits_preview(order: Order) -> bool:
    """Whether the working photo has all that the picture shows, so that it is made as previews are, on kept plates: what a
    batch asks for a thousand times."""
    height, width = size_of(order)
    return max(height, width) <= max(preview_size(order.spec.height, order.spec.width))


def size_of(order: Order) -> tuple[int, int]:
    """Height and width of one side of the picture."""
    height, width = order.spec.height, order.spec.width
    if order.output.preview:
        height, width = preview_size(height, width)
    return within(height, width, order.output.long_side or max(height, width))
