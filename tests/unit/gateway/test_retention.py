"""What goes by itself: photos of no room."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from roomviz.runtime.objects import Stored
from services.gateway.usecases import privacy
from services.gateway.usecases.privacy import Retention

NOW = datetime.now(UTC)


class Shelf:
    """Objects, in memory, listed as a store lists them."""

    def __init__(self, ages_days: dict[str, float]):
        self.found = {k: Stored(k, 1, "e", NOW - timedelta(days=d)) for k, d in ages_days.items()}

    async def under(self, prefix: str, after: str = "", limit: int | None = None) -> list[Stored]:
        return [self.found[k] for k in sorted(self.found) if k.startswith(prefix) and k > after][:limit]

    async def remove(self, key: str) -> None:
        del self.found[key]


class Book:
    """Rooms that have rows; nothing is due of them."""

    def __init__(self, rooms: set[str], alone: bool = True):
        self.rooms, self.free = rooms, alone

    @asynccontextmanager
    async def alone(self):
        yield self.free

    async def due(self, limit: int) -> list[str]:
        return []

    async def strangers(self, room_ids: set[str]) -> set[str]:
        return set(room_ids) - self.rooms

    async def expired(self, limit: int) -> list[tuple[str, str]]:
        return []


def retention(shelf: Shelf, book: Book) -> Retention:
    return Retention(None, book, book, shelf, 60.0)  # type: ignore[arg-type]


async def test_an_old_photo_of_no_room_goes_and_nothing_else():
    shelf = Shelf({"rooms/a/photo.png": 2, "rooms/b/photo.png": 2, "rooms/c/photo.png": 0.9, "masks/b/x.png": 9})

    await retention(shelf, Book({"a"})).sweep()

    assert sorted(shelf.found) == ["masks/b/x.png", "rooms/a/photo.png", "rooms/c/photo.png"]


async def test_sweep_after_sweep_all_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(privacy, "_PHOTOS_AT_ONCE", 2)
    shelf = Shelf({f"rooms/{n}/photo.png": 2 for n in range(5)})
    sweeper = retention(shelf, Book({"0", "1", "2", "3"}))

    await sweeper.sweep()
    assert len(shelf.found) == 5
    await sweeper.sweep()
    await sweeper.sweep()
    assert sorted(shelf.found) == [f"rooms/{n}/photo.png" for n in range(4)]

    # And from the beginning again.
    shelf.found["rooms/+/photo.png"] = Stored("rooms/+/photo.png", 1, "e", NOW - timedelta(days=2))
    await sweeper.sweep()
    assert "rooms/+/photo.png" not in shelf.found


async def test_who_is_not_alone_does_nothing():
    shelf = Shelf({"rooms/b/photo.png": 2})

    await retention(shelf, Book(set(), alone=False)).sweep()

    assert shelf.found
