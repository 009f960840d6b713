"""Recipes in their rows; those that were kept before lie in the object store still."""

from alembic import op

revision = "compositor_0004"
down_revision = "compositor_0003"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE recipes ADD COLUMN recipe bytea")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE recipes DROP COLUMN recipe")
