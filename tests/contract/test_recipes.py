"""Recipes under their receipts: in the database, and where they lay before."""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import asyncpg
import pytest

from roomviz.client import Client
from roomviz.errors import NotFound
from roomviz.personal import digest_of
from roomviz.runtime.objects import Objects
from services.compositor.adapters.recipes import PostgresRecipes
from services.compositor.ports import Order
from services.compositor.transport.messages import order_from_recipe
from tests.conftest import Running
from tests.contract.personal import store
from tests.contract.test_privacy import busy, nothing_left, person, photo_of, unpacked

T = TypeVar("T")


def fresh(running: Running, what: Callable[[PostgresRecipes], Awaitable[T]]) -> T:
    """Do it in a process that remembers no recipe."""

    async def run() -> T:
        s = running.settings
        url = f"postgresql://roomviz@{s.host}:{s.postgres_port}/roomviz"
        search = {"search_path": "compositor"}
        with ThreadPoolExecutor(1) as threads:
            async with asyncpg.create_pool(
                url, passfile=str(s.secrets / "pgpass"), min_size=1, server_settings=search
            ) as pool:
                bucket = Objects(store(running), "roomviz", threads, store(running))
                return await what(PostgresRecipes(pool, bucket, order_from_recipe))

    return asyncio.run(run())


@pytest.fixture
def made(running: Running, client: Client) -> Order:
    """A recipe of a room of its own, as its row has it."""
    room = client.analyze(client.upload(photo_of("recipes")).name).room
    receipt = client.preview_details(room, [client.apply("FLR-WALNUT", kind="floor")]).receipt
    return order_from_recipe(kept(running, receipt))


def kept(running: Running, receipt: str) -> bytes:
    return running.rows("SELECT recipe FROM compositor.recipes WHERE receipt = $1", receipt)[0]["recipe"]


def forget(running: Running, receipt: str, recipe: bytes | None) -> None:
    """As if it had been kept before recipes lay in rows; without bytes, as if its object were gone, too."""
    running.rows("UPDATE compositor.recipes SET recipe = NULL WHERE receipt = $1", receipt)
    if recipe is not None:
        store(running).put_object("roomviz", f"recipes/{receipt}.bin", io.BytesIO(recipe), len(recipe))


def test_a_recipe_is_in_its_row_and_its_receipt_is_its_digest(running: Running, made: Order):
    assert hashlib.sha256(kept(running, made.receipt)).hexdigest() == made.receipt
    assert fresh(running, lambda recipes: recipes.get(made.receipt)) == made
    assert fresh(running, lambda recipes: recipes.get("0" * 64)) is None


def test_a_recipe_from_before_rows_had_them_is_found_and_goes_with_its_room(running: Running):
    gone = busy(running, person(running))
    made = gone.client.preview_details(gone.rooms[0], [gone.client.apply("FLR-WALNUT", kind="floor")])
    forget(running, made.receipt, kept(running, made.receipt))

    assert gone.client.rerender(made.receipt) == made.image

    receipt = gone.client.delete_personal_data()
    key = hashlib.sha256(f"recipes/{made.receipt}.bin".encode()).hexdigest()
    assert key in {o["key_sha256"] for o in unpacked(receipt)["objects"]}
    nothing_left(running, gone)


def test_a_recipe_from_before_there_were_rows_is_found(running: Running, made: Order):
    forget(running, made.receipt, made.recipe)
    running.rows("DELETE FROM compositor.recipes WHERE receipt = $1", made.receipt)

    assert fresh(running, lambda recipes: recipes.get(made.receipt)) == made


def test_a_row_without_a_recipe_is_filled_by_the_next_picture(running: Running, made: Order):
    forget(running, made.receipt, None)
    assert fresh(running, lambda recipes: recipes.get(made.receipt)) is None

    fresh(running, lambda recipes: recipes.keep(made))

    assert kept(running, made.receipt) == made.recipe


def test_what_is_kept_of_a_purged_room_leaves_nothing_new_and_no_row_of_the_purges_is_taken(
    running: Running, made: Order
):
    running.rows("INSERT INTO compositor.purged (digest) VALUES ($1)", digest_of(made.spec.room))
    try:
        with pytest.raises(NotFound):
            fresh(running, lambda recipes: recipes.keep(made))
        assert kept(running, made.receipt) == made.recipe  # by which the purge finds what was made up for it

        running.rows("DELETE FROM compositor.recipes WHERE receipt = $1", made.receipt)
        with pytest.raises(NotFound):
            fresh(running, lambda recipes: recipes.keep(made))
        assert not running.rows("SELECT FROM compositor.recipes WHERE receipt = $1", made.receipt)
    finally:
        running.rows("DELETE FROM compositor.purged WHERE digest = $1", digest_of(made.spec.room))
