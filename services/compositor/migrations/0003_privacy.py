"""Which room each recipe is of; what was purged lately."""

from alembic import op

from roomviz.runtime.tables import PURGED

revision = "compositor_0003"
down_revision = "compositor_0002"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(PURGED)
    op.execute("""
        CREATE TABLE recipes (
            receipt text PRIMARY KEY,
            tenant text NOT NULL,
            room text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE INDEX recipes_room ON recipes (tenant, room)")
    op.execute("CREATE INDEX renders_room ON renders (tenant, room)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP INDEX renders_room")
    op.execute("DROP TABLE recipes, purged")
