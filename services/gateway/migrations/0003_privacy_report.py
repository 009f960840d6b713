"""What was removed from a room's photo."""

from alembic import op

revision = "gateway_0003"
down_revision = "gateway_0002"


def upgrade() -> None:
    # NULL: taken in before it was told.
    op.execute("ALTER TABLE rooms ADD COLUMN removed text[]")


def downgrade() -> None:
    op.execute("ALTER TABLE rooms DROP COLUMN removed")
