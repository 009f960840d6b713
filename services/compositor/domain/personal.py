"""What the compositor keeps, and of whom."""

from roomviz.personal import Holdings, Objects, Table

WITH_ROOM = "as long as the room"
_MINE = "tenant = :tenant AND operation = ANY (:operations)"

HOLDINGS = Holdings(
    "compositor",
    (
        # Jobs first: whoever is about to end one of them waits, or finds it gone and throws its work away.
        Table("jobs", "which pictures were made, and what came of them", WITH_ROOM, _MINE),
        Table("outbox", "messages on their way", "seconds", "split_part(message_id, '-', 1) = ANY (:operations)"),
        Table(
            "batch_items",
            "the products of a batch, and what came of each",
            WITH_ROOM,
            "operation = ANY (:operations) AND EXISTS"
            " (SELECT FROM batches b WHERE b.operation = t.operation AND b.tenant = :tenant)",
        ),
        Table("batches", "batches: a room and what is laid in it", WITH_ROOM, _MINE),
        Table(
            "renders",
            "kept pictures",
            WITH_ROOM,
            "tenant = :tenant AND (operation = ANY (:operations) OR room = ANY (:rooms))",
        ),
        # Last: without its row nobody finds again what was made up for a receipt.
        Table(
            "recipes",
            "what a picture was made from, under its receipt",
            WITH_ROOM,
            "tenant = :tenant AND room = ANY (:rooms)",
            messages={"recipe": "roomviz.internal.compositor.v1.Recipe"},
        ),
        Table("purged", "digests of random ids: what was purged, so that late work on it is thrown away", "two days"),
        Table("alembic_version", "the version of the schema", "always"),
    ),
    (
        Objects("renders/{operation}…", "pictures: of exports, and of the items of batches", WITH_ROOM),
        Objects("recipes/{digest}.bin", "the same, as it was kept before it lay in its row", WITH_ROOM),
        Objects("plates/{room}/", "light, masks and planes of its surfaces, ready to lay products on", WITH_ROOM),
        Objects("generated/{digest}.…", "pictures that a generative model made up, under their receipts", WITH_ROOM),
        Objects("halved/", "smaller copies of products' textures: of no person", "always"),
    ),
)


def of_operation(operation: str) -> str:
    """Where its pictures begin; ids are of one length, so none begins another."""
    return f"renders/{operation}"


def of_room(room: str) -> str:
    """Where its plates begin; room: `rooms/{room}`."""
    return f"plates/{room.removeprefix('rooms/')}/"


def of_receipt(receipt: str) -> tuple[str, str]:
    """The recipe, and where pictures begin that were made up for it."""
    return f"recipes/{receipt}.bin", f"generated/{receipt}."
