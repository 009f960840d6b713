"""Plates on their way to the object store and back."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from roomviz.errors import NotFound, Unavailable
from roomviz.runtime.memory import Memory
from roomviz.runtime.objects import Stored
from services.compositor.adapters.plates import StoredPlates, packed, stored_at, unpacked
from services.compositor.domain.plate import Plate, plate
from services.compositor.domain.shading import light_in

KEY = ("photo", (200, 300, 3), ("light",), (1.0, 2.0), True)


@pytest.fixture(scope="module")
def made() -> Plate:
    rng = np.random.default_rng(0)
    photo = rng.integers(60, 200, (200, 300, 3), np.uint8)
    alpha = np.zeros((200, 300), np.uint8)
    alpha[120:, 20:280] = 255
    plane = np.array([[240.0, 0, 150], [0, 240, 70], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, 0, 1.4], [0, -1, 3.0]])
    light = light_in(photo, np.ones((200, 300), bool), None)
    return plate(photo, alpha, "floor", light, plane, False, "polished", 240.0)


class Shelf:
    """Objects in a dictionary."""

    def __init__(self, broken: bool = False):
        self.kept: dict[str, bytes] = {}
        self.broken = broken

    async def get(self, key: str) -> bytes:
        if self.broken:
            raise Unavailable("OBJECT_STORE_UNAVAILABLE", "down")
        if key not in self.kept:
            raise NotFound("OBJECT_NOT_FOUND", "no such object")
        return self.kept[key]

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        if self.broken:
            raise Unavailable("OBJECT_STORE_UNAVAILABLE", "down")
        self.kept[key] = data

    async def under(self, prefix: str) -> list[Stored]:
        """The first that was put is the oldest."""
        old = datetime(2026, 1, 1, tzinfo=UTC)
        found = [(k, d) for k, d in self.kept.items() if k.startswith(prefix)]
        return [Stored(k, len(d), "", old + timedelta(n)) for n, (k, d) in enumerate(found)][::-1]

    async def remove(self, key: str) -> None:
        del self.kept[key]


def same(a: Plate, b: Plate) -> None:
    for f in fields(Plate):
        x, y = getattr(a, f.name), getattr(b, f.name)
        assert (x is None) == (y is None), f.name
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y
            assert type(x) is type(y)


@pytest.mark.parametrize("without", [(), ("plane_from_pixel", "footprints"), ("sheen",)])
def test_a_plate_comes_back_as_it_was(made: Plate, without: tuple[str, ...]):
    assert made.sheen is not None
    given = replace(made, **dict.fromkeys(without))

    same(unpacked(packed(given)), given)


async def test_what_one_worker_made_another_finds(made: Plate):
    shelf = Shelf()
    with ThreadPoolExecutor(1) as pool:
        one, other = (StoredPlates(Memory(1 << 28), shelf, pool) for _ in range(2))  # type: ignore[arg-type]

        one.put("rooms/r", KEY, made)
        await one.written()

        found = await other.get("rooms/r", KEY)
        assert found is not None
        same(found, made)
        assert await other.get("rooms/other", KEY) is None
        shelf.kept.clear()
        assert await other.get("rooms/r", KEY) is found  # from memory now


@pytest.mark.parametrize("rubbish", [b"", b"no plate", b"PK\x03\x04" + bytes(100)])
async def test_rubbish_and_a_store_that_is_down_are_as_if_there_were_none(made: Plate, rubbish: bytes):
    shelf = Shelf()
    shelf.kept[stored_at("rooms/r", KEY)] = rubbish
    with ThreadPoolExecutor(1) as pool:
        plates = StoredPlates(Memory(1 << 28), shelf, pool)  # type: ignore[arg-type]
        assert await plates.get("rooms/r", KEY) is None
        shelf.broken = True
        assert await plates.get("rooms/r", KEY) is None
        plates.put("rooms/r", KEY, made)
        await plates.written()
        assert await plates.get("rooms/r", KEY) is made


async def test_a_plate_of_a_room_that_was_purged_meanwhile_does_not_stay(made: Plate):
    async def gone(room: str) -> bool:
        return True

    shelf = Shelf()
    with ThreadPoolExecutor(1) as pool:
        plates = StoredPlates(Memory(1 << 28), shelf, pool, gone)  # type: ignore[arg-type]
        plates.put("rooms/r", KEY, made)
        await plates.written()
        assert not shelf.kept
        plates.forget(lambda key: "rooms/r" in key)
        assert await plates.get("rooms/r", KEY) is None


def test_plates_lie_under_their_room():
    assert stored_at("rooms/r", KEY).startswith("plates/r/")
    assert stored_at("rooms/r", KEY) != stored_at("rooms/r", (*KEY, 1))


async def test_the_oldest_plates_go_when_the_store_is_full():
    shelf = Shelf()
    shelf.kept = {"plates/a/1": bytes(10), "other/2": bytes(99), "plates/b/3": bytes(10), "plates/c/4": bytes(10)}
    with ThreadPoolExecutor(1) as pool:
        plates = StoredPlates(Memory(1), shelf, pool)  # type: ignore[arg-type]
        assert await plates.trim(30) == 0
        assert await plates.trim(19) == 2
    assert set(shelf.kept) == {"other/2", "plates/c/4"}
