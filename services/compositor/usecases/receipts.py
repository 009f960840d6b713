"""Receipts: render one again, and tell whether a picture is what its receipt stands for."""

import asyncio
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound, unwrap
from roomviz.imaging.codec import Image
from services.compositor.domain import xmp
from services.compositor.domain.difference import Difference
from services.compositor.domain.sheet import Grid, grey_sheet
from services.compositor.domain.version import renderer
from services.compositor.ports import Judge, Order, Recipes, SheetSpec
from services.compositor.usecases.picture import AT_A_TIME, Made, MakePicture


async def find(recipes: Recipes, tenant: str, receipt: str) -> Order:
    """The order of a receipt. Somebody else's is not found, as if it were none."""
    order = await recipes.get(receipt) if re.fullmatch("[0-9a-f]{64}", receipt) else None
    if order is None or order.tenant != tenant:
        raise NotFound("RECEIPT_NOT_FOUND", f"there is no receipt {receipt}", {"receipt": receipt})
    return order


@dataclass(frozen=True)
class Rerender:
    make: MakePicture
    recipes: Recipes

    async def order(self, tenant: str, receipt: str) -> Order:
        """What the receipt is of; raises RECEIPT_NOT_FOUND."""
        return await find(self.recipes, tenant, receipt)

    async def __call__(self, tenant: str, receipt: str) -> Made:
        return await self.again(await self.order(tenant, receipt))

    async def again(self, order: Order) -> Made:
        if order.renderer != renderer() and not order.generated:  # what was generated is kept
            raise FailedPrecondition(
                "RECEIPT_OF_OTHER_RENDERER",
                "the picture was made by another renderer than this one, whose bytes would differ",
                {"renderer": order.renderer, "this": renderer()},
            )
        return await self.make(order, report=False) if order.sheet is None else await self._sheet(order, order.sheet)

    async def _sheet(self, order: Order, spec: SheetSpec) -> Made:
        grid = Grid(len(spec.receipts), spec.columns, spec.height, spec.width)
        pixels = await self.make.renderer.run(grey_sheet, grid)
        few = asyncio.Semaphore(AT_A_TIME)

        async def tile(index: int, receipt: str) -> None:
            async with few:
                made = await self.make(await self.order(order.tenant, receipt), report=False)
            pixels[grid.place(index)] = cast(Image, made.picture)  # as all previews have it

        try:
            async with asyncio.TaskGroup() as group:
                for n, receipt in enumerate(spec.receipts):
                    if receipt:
                        group.create_task(tile(n, receipt))
        except BaseExceptionGroup as failed:
            raise unwrap(failed) from failed
        height, width = grid.size
        return Made(await self.make.sheet(pixels, order), width, height)


class Verdict(StrEnum):
    UNTOUCHED = "untouched"
    REWRITTEN = "rewritten"
    ALTERED = "altered"
    UNKNOWN = "unknown"
    UNPROVABLE = "unprovable"


@dataclass(frozen=True)
class Verified:
    """receipt, room and generated only where the receipt is the caller's; altered: x, y, width, height."""

    verdict: Verdict
    receipt: str = ""
    room: str = ""
    generated: bool = False
    altered: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Verify:
    rerender: Rerender
    recipes: Recipes
    judge: Judge

    async def __call__(self, tenant: str, data: bytes) -> Verified:
        mark = xmp.mark_in(data)
        if mark is None:
            return Verified(Verdict.UNKNOWN)
        try:
            order = await find(self.recipes, tenant, mark.receipt)
        except NotFound:
            return Verified(Verdict.UNKNOWN)
        known = (mark.receipt, order.spec.room, order.generated)
        try:
            ours = (await self.rerender.again(order)).data
        except (FailedPrecondition, NotFound):  # the renderer has changed, or what it was made from is gone
            return Verified(Verdict.UNPROVABLE, *known)
        if ours == data:
            return Verified(Verdict.UNTOUCHED, *known)
        try:
            found = await self.judge.compare(ours, data)
        except InvalidArgument:  # it cannot even be read
            found = Difference(False)
        if found is None:  # which a large one of ours may be too, where others are served
            return Verified(Verdict.UNPROVABLE, *known)
        return Verified(Verdict.REWRITTEN if found.same else Verdict.ALTERED, *known, found.box)
