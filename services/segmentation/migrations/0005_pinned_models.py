"""Tenants are pinned to a model by its name too: another may be served where nobody is pinned."""

from alembic import op

revision = "segmentation_0005"
down_revision = "segmentation_0004"


def upgrade() -> None:
    # Empty: of pins that were set before, the model that is served where nobody is pinned.
    op.execute("ALTER TABLE model_pins ADD COLUMN model text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE model_pins DROP COLUMN model")
