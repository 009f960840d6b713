"""What was purged lately; corrections go with the analysis that they correct."""

from alembic import op

from roomviz.runtime.tables import PURGED

revision = "segmentation_0004"
down_revision = "segmentation_0003"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(PURGED)
    # A correction that was being written while its room was purged must not keep the room.
    op.execute("""
        ALTER TABLE refinements DROP CONSTRAINT refinements_tenant_room_fkey,
            ADD CONSTRAINT refinements_tenant_room_fkey FOREIGN KEY (tenant, room) REFERENCES analyses ON DELETE CASCADE""")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("""
        ALTER TABLE refinements DROP CONSTRAINT refinements_tenant_room_fkey,
            ADD CONSTRAINT refinements_tenant_room_fkey FOREIGN KEY (tenant, room) REFERENCES analyses""")
    op.execute("DROP TABLE purged")
