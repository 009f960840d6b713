"""Which version of the surface network a tenant is pinned to."""

from alembic import op

revision = "segmentation_0002"
down_revision = "segmentation_0001"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE model_pins (
            tenant text PRIMARY KEY,
            version text NOT NULL,
            update_time timestamptz NOT NULL DEFAULT now()
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE model_pins")
