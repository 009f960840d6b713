"""Jobs, the outbox, and finished analyses."""

from alembic import op

from roomviz.runtime.tables import JOBS, OUTBOX

revision = "segmentation_0001"
down_revision = None


def upgrade() -> None:
    op.execute(JOBS)
    op.execute(OUTBOX)
    op.execute("""
        CREATE TABLE analyses (
            tenant text NOT NULL,
            room text NOT NULL,
            operation text NOT NULL,
            record jsonb NOT NULL,
            asked double precision NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant, room)
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE analyses, outbox, jobs")
