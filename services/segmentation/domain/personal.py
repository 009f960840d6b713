"""What segmentation keeps, and of whom."""

from roomviz.personal import Holdings, Objects, Table

WITH_ROOM = "as long as the room"

HOLDINGS = Holdings(
    "segmentation",
    (
        # Jobs first: whoever is about to end one of them waits, or finds it gone and throws its work away.
        Table(
            "jobs",
            "which analyses ran, and what came of them",
            WITH_ROOM,
            "tenant = :tenant AND operation = ANY (:operations)",
        ),
        Table("outbox", "messages on their way", "seconds", "split_part(message_id, '-', 1) = ANY (:operations)"),
        Table("refinements", "what people marked on the photo", WITH_ROOM, "tenant = :tenant AND room = ANY (:rooms)"),
        Table("analyses", "the surfaces of a room", WITH_ROOM, "tenant = :tenant AND room = ANY (:rooms)"),
        Table("model_pins", "of a tenant, not of a person: which network it is pinned to", "as long as the tenant"),
        Table("purged", "digests of random ids: what was purged, so that late work on it is thrown away", "two days"),
        Table("alembic_version", "the version of the schema", "always"),
    ),
    (
        Objects(
            "masks/{room}/",
            "masks, the room's light, what clicks and prompts need of the photo, by analysis and correction",
            WITH_ROOM,
        ),
    ),
)


def prefixes(room_ids: tuple[str, ...]) -> list[str]:
    """Under which all objects of these rooms lie."""
    return [f"masks/{room}/" for room in room_ids]
