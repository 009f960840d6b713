"""API keys, rooms, operations, visualizations, the outbox."""

from alembic import op

from roomviz.runtime.tables import OUTBOX

revision = "gateway_0001"
down_revision = None


def upgrade() -> None:
    op.execute(OUTBOX)
    op.execute("""
        CREATE TABLE api_keys (
            key_hash bytea PRIMARY KEY,
            prefix text NOT NULL,
            tenant text NOT NULL CHECK (tenant <> ''),
            create_time timestamptz NOT NULL DEFAULT now(),
            revoke_time timestamptz
        )""")
    op.execute("""
        CREATE TABLE rooms (
            room_id text PRIMARY KEY,
            tenant text NOT NULL,
            display_name text NOT NULL,
            content_digest text NOT NULL,
            width int NOT NULL,
            height int NOT NULL,
            photo_key text NOT NULL,
            working_key text NOT NULL,
            focal_35mm double precision NOT NULL,
            state text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            UNIQUE (tenant, content_digest)
        )""")
    op.execute("""
        CREATE TABLE operations (
            operation_id text PRIMARY KEY,
            tenant text NOT NULL,
            verb text NOT NULL,
            subject text NOT NULL,
            state text NOT NULL CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
            request_id text,
            fingerprint text NOT NULL,
            job_subject text NOT NULL,
            job bytea NOT NULL,
            request bytea NOT NULL,
            response bytea,
            error bytea,
            deadline timestamptz NOT NULL,
            publish_time timestamptz NOT NULL DEFAULT now(),
            publish_count int NOT NULL DEFAULT 1,
            create_time timestamptz NOT NULL DEFAULT now(),
            end_time timestamptz,
            UNIQUE (tenant, request_id)
        )""")
    # One analysis of a room at a time.
    op.execute(
        "CREATE UNIQUE INDEX operations_analyzing ON operations (tenant, subject) WHERE verb = 'analyze' AND state = 'RUNNING'"
    )
    op.execute("CREATE INDEX operations_running ON operations (publish_time) WHERE state = 'RUNNING'")
    op.execute("CREATE INDEX operations_subject ON operations (tenant, subject, create_time DESC)")
    op.execute("""
        CREATE TABLE visualizations (
            visualization_id text PRIMARY KEY,
            tenant text NOT NULL,
            message bytea NOT NULL,
            image_key text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now()
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE visualizations, operations, rooms, api_keys, outbox")
