"""Faces of materials, how they are laid and how they are sold."""

from alembic import op

revision = "catalog_0002"
down_revision = "catalog_0001"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE products
            ADD COLUMN face_digest text NOT NULL DEFAULT '',
            ADD COLUMN face_width_m double precision NOT NULL DEFAULT 0 CHECK (face_width_m >= 0),
            ADD COLUMN face_height_m double precision NOT NULL DEFAULT 0 CHECK (face_height_m >= 0),
            ADD COLUMN layout jsonb,
            ADD COLUMN rectified boolean NOT NULL DEFAULT false,
            ADD COLUMN packaging jsonb NOT NULL DEFAULT '{}'""")


def downgrade() -> None:
    op.execute("""
        ALTER TABLE products DROP COLUMN face_digest, DROP COLUMN face_width_m, DROP COLUMN face_height_m,
            DROP COLUMN layout, DROP COLUMN rectified, DROP COLUMN packaging""")
