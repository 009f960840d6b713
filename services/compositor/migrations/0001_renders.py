"""Jobs, the outbox, and kept renders."""

from alembic import op

from roomviz.runtime.tables import JOBS, OUTBOX

revision = "compositor_0001"
down_revision = None


def upgrade() -> None:
    op.execute(JOBS)
    op.execute(OUTBOX)
    op.execute("""
        CREATE TABLE renders (
            operation text PRIMARY KEY,
            tenant text NOT NULL,
            room text NOT NULL,
            image_key text NOT NULL,
            width int NOT NULL,
            height int NOT NULL,
            format text NOT NULL,
            size_bytes bigint NOT NULL,
            content_digest text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now()
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE renders, outbox, jobs")
