"""Render variants of one room side by side, each told as soon as it is ready."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from roomviz.errors import InvalidArgument, RoomvizError, unwrap
from services.compositor.domain import encode
from services.compositor.domain.sheet import Grid, grey_sheet
from services.compositor.ports import Order, SheetSpec
from services.compositor.usecases.picture import AT_A_TIME, MakePicture, size_of

VARIANTS_MAX = 64
TILE_MIN, TILE_MAX = 128, 2048
SHEET_PIXELS_MAX = 50_000_000


@dataclass(frozen=True)
class Tile:
    """A variant: its JPEG of height x width and its receipt, or why there is none."""

    index: int
    row: int
    column: int
    height: int
    width: int
    outcome: bytes | RoomvizError
    receipt: str = ""


@dataclass(frozen=True)
class Sheet:
    """All of them in a JPEG, and its receipt where there is anything on it."""

    data: bytes
    height: int
    width: int
    columns: int
    receipt: str


@dataclass(frozen=True)
class Compare:
    """order_of: the order of a sheet of a tenant's room."""

    make: MakePicture
    order_of: Callable[[str, str, SheetSpec], Order]

    async def __call__(
        self, slots: Sequence[Order | RoomvizError], columns: int, tile_px: int
    ) -> AsyncIterator[Tile | Sheet]:
        """Tiles as they are ready, then the sheet. All orders are of one room, for previews of tile_px.

        Raises:
            InvalidArgument: no slots or too many, a tile or a sheet of a size that is not made.
        """
        if not 1 <= len(slots) <= VARIANTS_MAX:
            raise InvalidArgument("VARIANTS_INVALID", f"a comparison has 1 to {VARIANTS_MAX} variants")
        if not TILE_MIN <= tile_px <= TILE_MAX:
            raise InvalidArgument("TILE_INVALID", f"tile_px is {TILE_MIN} to {TILE_MAX}")
        orders = [s for s in slots if not isinstance(s, RoomvizError)]
        # Where nothing can be rendered, the sheet is grey all over, of whatever shape.
        height, width = size_of(orders[0]) if orders else (tile_px, tile_px)
        grid = Grid(len(slots), columns, height, width)
        receipts = [""] * len(slots)
        if grid.pixels > SHEET_PIXELS_MAX:
            raise InvalidArgument(
                "COMPARISON_TOO_LARGE",
                f"the sheet would have {grid.pixels} pixels: ask for smaller tiles or fewer variants",
                {"pixels_max": str(SHEET_PIXELS_MAX)},
            )
        encode.check_output("jpeg", *grid.size, transparent=False)
        sheet = await self.make.renderer.run(grey_sheet, grid)
        gate = asyncio.Semaphore(AT_A_TIME)

        async def tile(index: int, slot: Order | RoomvizError) -> Tile:
            at = (index, index // grid.columns, index % grid.columns, height, width)
            if isinstance(slot, RoomvizError):
                return Tile(*at, slot)
            try:
                async with gate:
                    made = await self.make(slot, report=False)
            except Exception as error:
                failure = unwrap(error)
                if not isinstance(failure, RoomvizError):
                    raise
                return Tile(*at, failure)
            if made.picture is not None:
                sheet[grid.place(index)] = made.picture
                receipts[index] = slot.receipt
            return Tile(*at, made.data, slot.receipt)

        # The first alone: what all share (photo, masks, light, plates) is then made once, and lies in memory.
        tasks: list[asyncio.Task[Tile]] = []
        try:
            shared = next((n for n, s in enumerate(slots) if not isinstance(s, RoomvizError)), None)
            if shared is not None:
                yield await tile(shared, slots[shared])
            tasks = [asyncio.create_task(tile(n, s)) for n, s in enumerate(slots) if n != shared]
            for ready in asyncio.as_completed(tasks):
                yield await ready
        finally:  # the caller may go away
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        whole = None
        if any(receipts):
            spec = SheetSpec(tuple(receipts), grid.columns, height, width)
            whole = self.order_of(orders[0].tenant, orders[0].spec.room, spec)
        data = await self.make.sheet(sheet, whole)
        yield Sheet(data, *grid.size, grid.columns, whole.receipt if whole else "")
