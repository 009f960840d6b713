"""Tables that every service with jobs has, for its first migration. Never changed: a later migration changes them."""

JOBS = """
    CREATE TABLE jobs (
        operation text PRIMARY KEY,
        tenant text NOT NULL,
        state text NOT NULL CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED')),
        attempt int NOT NULL,
        strikes int NOT NULL,
        event_subject text,
        event bytea,
        create_time timestamptz NOT NULL DEFAULT now(),
        update_time timestamptz NOT NULL DEFAULT now()
    )"""

# Digests of rooms and operations that were purged lately: `roomviz.runtime.personal`.
PURGED = """
    CREATE TABLE purged (
        digest bytea PRIMARY KEY,
        purge_time timestamptz NOT NULL DEFAULT now()
    )"""

OUTBOX = """
    CREATE TABLE outbox (
        id bigserial PRIMARY KEY,
        subject text NOT NULL,
        message_id text NOT NULL,
        body bytea NOT NULL,
        create_time timestamptz NOT NULL DEFAULT now()
    )"""
