"""Batches and their items."""

from alembic import op

revision = "compositor_0002"
down_revision = "compositor_0001"


def upgrade() -> None:
    # plan: a BatchPlan without its items. envelope: what the event of its end carries.
    op.execute("""
        CREATE TABLE batches (
            operation text PRIMARY KEY,
            tenant text NOT NULL,
            state text NOT NULL CHECK (state IN ('RUNNING', 'ENDED', 'CANCELLED')),
            plan bytea,
            envelope bytea NOT NULL,
            deadline timestamptz NOT NULL,
            total int NOT NULL DEFAULT 0,
            succeeded int NOT NULL DEFAULT 0,
            failed int NOT NULL DEFAULT 0,
            take_time timestamptz NOT NULL DEFAULT now(),
            create_time timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE INDEX batches_running ON batches (take_time) WHERE state = 'RUNNING'")
    # item: a BatchPlanItem. result: a BatchItemResult.
    op.execute("""
        CREATE TABLE batch_items (
            operation text NOT NULL REFERENCES batches ON DELETE CASCADE,
            index int NOT NULL,
            item bytea NOT NULL,
            state text NOT NULL CHECK (state IN ('PENDING', 'SUCCEEDED', 'FAILED')),
            attempt int NOT NULL DEFAULT 0,
            strikes int NOT NULL DEFAULT 0,
            lease_until timestamptz NOT NULL DEFAULT '-infinity',
            result bytea,
            end_time timestamptz,
            PRIMARY KEY (operation, index)
        )""")
    op.execute("CREATE INDEX batch_items_pending ON batch_items (operation, index) WHERE state = 'PENDING'")


def downgrade() -> None:
    op.execute("DROP TABLE batch_items, batches")
