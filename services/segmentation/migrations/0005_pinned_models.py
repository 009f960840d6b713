"""Tenants are pinned to a model by its name too: another may be served where nobody is pinned."""

from alembic import op

revision = "segmentation_0005"
down_revision = "segmentation_0004"


def upgrade() -> None:
    # Pins from before get the name of the model that is served when the service starts next.
    op.execute("ALTER TABLE model_pins ADD COLUMN model text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE model_pins DROP COLUMN model")
