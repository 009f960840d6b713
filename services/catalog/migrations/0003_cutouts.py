"""Products that are things: their picture, its size in metres and how they are put into a room."""

from alembic import op

revision = "catalog_0003"
down_revision = "catalog_0002"


def upgrade() -> None:
    # Empty and 0 for a material, as a material's columns are for a thing.
    op.execute("""
        ALTER TABLE products
            ADD COLUMN cutout_digest text NOT NULL DEFAULT '',
            ADD COLUMN cutout_width_m double precision NOT NULL DEFAULT 0 CHECK (cutout_width_m >= 0),
            ADD COLUMN cutout_height_m double precision NOT NULL DEFAULT 0 CHECK (cutout_height_m >= 0),
            ADD COLUMN cutout_depth_m double precision NOT NULL DEFAULT 0 CHECK (cutout_depth_m >= 0),
            ADD COLUMN mount text NOT NULL DEFAULT '' CHECK (mount IN ('', 'lying', 'wall', 'standing', 'ceiling')),
            ADD CHECK ((mount <> '') = (cutout_digest <> '' AND cutout_width_m > 0 AND cutout_height_m > 0))""")


def downgrade() -> None:
    op.execute("DELETE FROM products WHERE mount <> ''")
    op.execute("""
        ALTER TABLE products DROP COLUMN cutout_digest, DROP COLUMN cutout_width_m, DROP COLUMN cutout_height_m,
            DROP COLUMN cutout_depth_m, DROP COLUMN mount""")
