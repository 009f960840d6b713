"""What the gateway keeps, and of whom. Who adds a table says here whose its rows are, or why they are nobody's."""

from roomviz.personal import Holdings, Objects, Table

WITH_ROOM = "as long as the room"
_OWNED = ":subject <> '' AND owner = :subject"
# Of rooms and operations, those that are named, where any are: one that its owner adds meanwhile is not half removed.
_OWN_ROOMS = f"{_OWNED} AND :room_ids = '{{}}'"
_OWN_OPERATIONS = ":subject <> '' AND :subject IN (owner, subject) AND :operations = '{}'"
_TELLS_OF_THESE = (
    "EXISTS (SELECT FROM unnest(:operations || :room_ids) AS id WHERE position(convert_to(id, 'UTF8') IN response) > 0)"
)
_EVENT = (
    "tenant = :tenant AND ((:subject <> '' AND :subject IN (owner, unit)) OR room = ANY (:rooms)"
    " OR split_part(split_part(subject, '/', 2), '-', 1) = ANY (:operations)"
    " OR split_part(data ->> 'operation', '/', 2) = ANY (:operations)"
    " OR split_part(split_part(data ->> 'visualization', '/', 2), '-', 1) = ANY (:operations))"
)
_EVENTS = f"(SELECT event_id FROM events WHERE {_EVENT})"
_USER = "(SELECT user_id FROM users WHERE tenant = :tenant AND :subject <> '' AND 'users/' || user_id = :subject)"
_RANDOM_ID = "replace(gen_random_uuid()::text, '-', '')"

HOLDINGS = Holdings(
    "gateway",
    (
        Table("descriptions", "rooms in words", WITH_ROOM, "tenant = :tenant AND room_id = ANY (:room_ids)"),
        Table(
            "photo_sessions",
            "sessions of the HTTP API: which photo, under which file name, and what became of it",
            "as long as the room; without one, a day",
            f"tenant = :tenant AND (room_id = ANY (:room_ids) OR ({_OWNED} AND room_id IS NULL) OR ({_OWN_ROOMS}))",
        ),
        Table(
            "photo_results",
            "what was found in a photo, for the same photo sent again",
            WITH_ROOM,
            "tenant = :tenant AND room_id = ANY (:room_ids)",
        ),
        Table(
            "requests",
            "request ids, and what was answered to them",
            "a day",
            f"tenant = :tenant AND ((:subject <> '' AND subject = :subject) OR {_TELLS_OF_THESE})",
        ),
        Table(
            "uploads",
            "files that come in pieces: what their owner called them, and which bytes have come",
            "a day",
            f"tenant = :tenant AND (({_OWNED}) OR room = ANY (:rooms))",
            prefixes=("'uploads/' || upload_id || '/'",),
        ),
        Table(
            "shares",
            "links to pictures, and who made them",
            "as long as the picture",
            f"tenant = :tenant AND (({_OWNED}) OR split_part(visualization_id, '-', 1) = ANY (:operations))",
        ),
        Table(
            "webhook_attempts",
            "how sending an event went",
            "as its delivery",
            f"delivery_id IN (SELECT delivery_id FROM webhook_deliveries WHERE event_id IN {_EVENTS})",
        ),
        Table("webhook_deliveries", "which events are sent where", "30 days after their end", f"event_id IN {_EVENTS}"),
        Table(
            "events",
            "what happened: which room, which product, whose doing; sent to webhooks, counted in insights",
            "13 months",
            _EVENT,
            anonymous="owner = :anonym, unit = :anonym, subject = '', room = '', data = '{}'",
        ),
        Table(
            "experiment_exposures",
            "which visitors an experiment holds out",
            "as long as the experiment",
            "tenant = :tenant AND :subject <> '' AND unit = :subject",
            anonymous="unit = :anonym",
        ),
        Table(
            "charges",
            "what rooms and operations were charged to a tenant's quota",
            WITH_ROOM,
            "tenant = :tenant AND split_part(charge, '/', 2) = ANY (:operations || :room_ids)",
        ),
        Table(
            "refresh_tokens",
            "hashes",
            "as long as their session",
            f"session_id IN (SELECT session_id FROM sessions WHERE user_id IN {_USER})",
            hidden=("token_hash",),
        ),
        Table("sessions", "who is signed in", "30 days after the last use", f"user_id IN {_USER}"),
        Table(
            "users",
            "who has an account: address, name, role, a hash of the password",
            "until it is deleted",
            "tenant = :tenant AND :subject <> '' AND 'users/' || user_id = :subject",
            hidden=("password_hash",),
        ),
        Table(
            "rooms",
            "photos: what their owner called them, when they were last used",
            "the tenant's retention_days after the last use, 30 by default; saved ones until they are deleted, shared ones until the links end",
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
            hidden=("key_hash", "overlap_hash"),
        ),
        Table("tries", "hashes: of attempts to sign in", "an hour"),
        Table("webhook_endpoints", "of companies: where they are told what happens", "until it is deleted"),
        Table("reported_events", "ids of events that were reported, so that they count once", "31 days"),
        Table("insight_marks", "days to be counted again", "seconds"),
        Table("insight_days", "counts by day, product and surface", "always"),
        Table("insight_sketches", "counts of different rooms and visitors: hashes of names that are gone", "always"),
        Table("experiments", "what an experiment is", "as long as the tenant"),
        Table("quotas", "what a tenant may use", "as long as the tenant"),
        Table("megapixels_used", "what a tenant used, by day", "as long as the tenant"),
        Table("link_secrets", "what signs links to pictures", "always"),
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
        Objects("uploads/{upload}/", "pieces of files that are on their way", "a day"),
        Objects("exports/{operation}.zip", "what is kept of somebody", "seven days"),
        Objects("patterns/", "pictures of the tenant's catalogue: of no person", "as long as the product"),
    ),
)


EXPORTS, ROOMS = "exports/", "rooms/"


def export_key(operation_id: str) -> str:
    return f"{EXPORTS}{operation_id}.zip"
