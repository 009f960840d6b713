"""Charges are forgotten by their age."""

from alembic import op

revision = "gateway_0012"
down_revision = "gateway_0011"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("CREATE INDEX charges_day ON charges (day)")


def downgrade() -> None:
    op.execute("DROP INDEX charges_day")
