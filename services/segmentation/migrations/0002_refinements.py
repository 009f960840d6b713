"""The log of corrections."""

from alembic import op

revision = "segmentation_0002"
down_revision = "segmentation_0001"


def upgrade() -> None:
    # Only ever added to. `surfaces` are the records of all surfaces after the step, with their masks' keys: the row is
    # the event and the revision of the masks that it made, so that neither can be there without the other.
    op.execute("""
        CREATE TABLE refinements (
            tenant text NOT NULL,
            room text NOT NULL,
            revision bigint NOT NULL CHECK (revision > 0),
            kind text NOT NULL CHECK (kind IN ('refine', 'undo', 'redo', 'reset', 'analyze')),
            event jsonb NOT NULL,
            surfaces jsonb NOT NULL,
            operation text NOT NULL,
            request_id text,
            fingerprint text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant, room, revision),
            UNIQUE (tenant, room, request_id),
            FOREIGN KEY (tenant, room) REFERENCES analyses
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE refinements")
