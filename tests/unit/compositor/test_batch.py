"""What a puller does with an item, whatever comes of it."""

from collections.abc import Callable

import pytest

from roomviz.errors import NotFound, RoomvizError, Unavailable
from roomviz.runtime.ledger import STRIKES_MAX
from services.compositor.ports import BatchCount, Export, Order, Output, RenderSpec, Taken
from services.compositor.usecases.batch import WorkOnBatches
from services.compositor.usecases.picture import output_fits_preview, size_of

MADE = Export("renders/op/0-abc.jpeg", 4, 3, "jpeg", 10, "abc", "receipt")


class Items:
    """A batch of one item, in memory."""

    def __init__(self, strikes: int = 1, fenced: bool = False):
        self.waiting: Taken | None = Taken("op", 0, 1, strikes, "demo", b"plan", b"item")
        self.fenced = fenced
        self.finished: list[tuple[bool, bytes]] = []
        self.given_back: list[tuple[float, bool]] = []
        self.late: list[str] = []

    async def take(self, lease_s: float) -> Taken | None:
        taken, self.waiting = self.waiting, None
        return taken

    async def hold(self, taken: Taken, lease_s: float) -> None: ...

    async def give_back(self, taken: Taken, after_s: float, forgive: bool) -> None:
        self.given_back.append((after_s, forgive))

    async def finish(self, taken: Taken, succeeded: bool, result: bytes) -> BatchCount | None:
        if self.fenced:
            return None
        self.finished.append((succeeded, result))
        return BatchCount(1, 1)


def work(items: Items, outcome: Callable[[], Export]) -> tuple[WorkOnBatches, list[BatchCount]]:
    told: list[BatchCount] = []

    async def render(taken: Taken) -> Export:
        return outcome()

    def result(taken: Taken, came: Export | RoomvizError) -> bytes:
        return came.image_key.encode() if isinstance(came, Export) else came.reason.encode()

    async def tell(operation: str, count: BatchCount) -> None:
        told.append(count)

    async def late(taken: Taken) -> None:
        items.late.append(taken.operation)

    return WorkOnBatches(items, render, result, tell, late, 15.0), told  # type: ignore[arg-type]


def raising(error: Exception) -> Callable[[], Export]:
    def outcome() -> Export:
        raise error

    return outcome


async def test_a_rendered_item_is_finished_and_told():
    items = Items()
    puller, told = work(items, lambda: MADE)

    assert await puller.one()
    assert items.finished == [(True, b"renders/op/0-abc.jpeg")]
    assert told == [BatchCount(1, 1)]
    assert not await puller.one()


async def test_an_item_that_cannot_be_rendered_is_finished_with_its_error():
    items = Items()
    puller, _ = work(items, raising(ExceptionGroup("tasks", [NotFound("OBJECT_NOT_FOUND", "gone")])))

    await puller.one()

    assert items.finished == [(False, b"OBJECT_NOT_FOUND")]


async def test_a_server_that_is_down_is_no_fault_of_the_item():
    items = Items()
    puller, told = work(items, raising(Unavailable("OBJECT_STORE_UNAVAILABLE", "down")))

    await puller.one()

    assert [forgiven for _, forgiven in items.given_back] == [True]
    assert not items.finished
    assert not told


@pytest.mark.parametrize("strikes", [1, STRIKES_MAX])
async def test_an_item_that_breaks_comes_back_later_each_time(strikes: int):
    items = Items(strikes)
    puller, _ = work(items, raising(ZeroDivisionError()))

    await puller.one()

    ((after_s, forgiven),) = items.given_back
    assert not forgiven
    assert after_s == 2.0 * strikes


async def test_an_item_that_kills_its_workers_ends_as_an_error_without_being_tried_again():
    items = Items(STRIKES_MAX + 1)
    puller, _ = work(items, raising(AssertionError("must not be rendered")))

    await puller.one()

    assert items.finished == [(False, b"ATTEMPTS_EXHAUSTED")]


async def test_a_worker_that_comes_too_late_says_nothing():
    items = Items(fenced=True)
    puller, told = work(items, lambda: MADE)

    await puller.one()

    assert not told
    assert items.late == ["op"]


@pytest.mark.parametrize(
    ("long_side", "size", "small"),
    [(400, (300, 400), True), (1633, (1225, 1633), True), (1634, (1226, 1634), False), (8000, (3000, 4000), False)],
)
def test_pictures_are_never_larger_than_the_photo_and_made_on_kept_plates_where_a_preview_would_do(
    long_side: int, size: tuple[int, int], small: bool
):
    spec = RenderSpec("rooms/r", "photo", "working", 4000, 3000, (), ())
    order = Order("demo", spec, Output(long_side=long_side), "this", None, b"")

    assert size_of(order) == size
    assert output_fits_preview(order) == small
