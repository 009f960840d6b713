"""What the gateway keeps, and of whom. Who adds a table says here whose its rows are, or why they are nobody's."""

from roomviz.personal import Holdings, Objects, Table

WITH_ROOM = "as long as the room"
_OWNED = ":subject <> '' AND owner = :subject"
# Of rooms and operations, those that are named, where any are: one that its owner adds meanwhile is not half removed.
_OWN_ROOMS = f"{_OWNED} AND :room_ids = '{{}}'"
_OWN_OPERATIONS = ":subject <> '' AND :subject IN (owner, subject) AND :operations = '{}'"
_RANDOM_ID = "replace(gen_random_uuid()::text, '-', '')"

HOLDINGS = Holdings(
    "gateway",
    (
        Table(
            "rooms",
            "photos: what their owner called them, when they were last used",
            "the tenant's retention_days after the last use, 30 by default; saved ones until they are deleted",
            f"tenant = :tenant AND (room_id = ANY (:room_ids) OR ({_OWN_ROOMS}))",
            prefixes=("'rooms/' || room_id || '/'", "'batches/' || room_id || '/'"),
        ),
        Table(
            "visualizations",
            "kept pictures: what they show",
            WITH_ROOM,
            f"tenant = :tenant AND ({_OWNED} OR visualization_id = ANY (:operations)"
            " OR split_part(visualization_id, '-', 1) = ANY (:operations))",
            messages={"message": "roomviz.v1.Visualization"},
        ),
        Table(
            "exports",
            "zips with what is kept of somebody",
            "seven days",
            f"tenant = :tenant AND (({_OWNED}) OR (:subject <> '' AND subject = :subject)"
            " OR export_id = ANY (:operations))",
            prefixes=("object_key",),
        ),
        Table("jobs", "jobs of the gateway's own", "always", "tenant = :tenant AND operation = ANY (:operations)"),
        Table("outbox", "messages on their way", "seconds", "split_part(message_id, '-', 1) = ANY (:operations)"),
        Table(
            "operations",
            "who asked for what, and what came of it",
            WITH_ROOM,
            f"tenant = :tenant AND (operation_id = ANY (:operations) OR subject = ANY (:rooms) OR ({_OWN_OPERATIONS}))",
            messages={"response": "google.protobuf.Any", "error": "google.rpc.Status"},
            anonymous=f"operation_id = {_RANDOM_ID}, owner = :anonym, subject = '', request_id = NULL,"
            " fingerprint = '', job = '', request = '', response = NULL, error = NULL",
        ),
        Table(
            "api_keys",
            "credentials of a tenant; one stays when what was made with it goes, and ends by being revoked",
            "as long as the tenant",
            "tenant = :tenant AND 'apiKeys/' || key_id = :subject",
            stays=True,
            hidden=("key_hash",),
        ),
        Table("tenants", "of companies, not of persons", "as long as the tenant"),
        Table(
            "erasures",
            "what is being erased; the receipt is its operation's response, and names everything by digest",
            "while an erasure is under way",
        ),
        Table("erased_objects", "digests, until the receipt is written", "while an erasure is under way"),
        Table("purged", "digests of random ids: what was purged, so that late work on it is thrown away", "two days"),
        Table("alembic_version", "the version of the schema", "always"),
    ),
    (
        Objects("rooms/{room}/", "the photo, upright and without metadata, and a smaller copy", WITH_ROOM),
        Objects("batches/{room}/", "what was asked for in batches", WITH_ROOM),
        Objects("exports/{operation}.zip", "what is kept of somebody", "seven days"),
        Objects("patterns/", "pictures of the tenant's catalogue: of no person", "as long as the product"),
    ),
)


EXPORTS, ROOMS = "exports/", "rooms/"


def export_key(operation_id: str) -> str:
    return f"{EXPORTS}{operation_id}.zip"
