"""Products with their sizes, and the words they are found by."""

from alembic import op

revision = "catalog_0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("""
        CREATE TABLE products (
            tenant text NOT NULL,
            sku text NOT NULL CHECK (sku <> '' AND length(sku) <= 64),
            display_name text NOT NULL,
            category text NOT NULL,
            price numeric(12, 2) NOT NULL CHECK (price >= 0),
            currency char(3) NOT NULL,
            repeat_width_m double precision NOT NULL CHECK (repeat_width_m >= 0),
            repeat_height_m double precision NOT NULL CHECK (repeat_height_m >= 0),
            piece_width_m double precision NOT NULL CHECK (piece_width_m >= 0),
            piece_length_m double precision NOT NULL CHECK (piece_length_m >= 0),
            finish text NOT NULL,
            texture_digest text NOT NULL,
            color_rgb int NOT NULL,
            etag text NOT NULL,
            update_time timestamptz NOT NULL DEFAULT now(),
            words tsvector NOT NULL GENERATED ALWAYS AS (
                setweight(to_tsvector('simple', display_name), 'A') ||
                to_tsvector('simple', replace(category, '.', ' ') || ' ' || replace(sku, '-', ' ') || ' ' || finish)
            ) STORED,
            PRIMARY KEY (tenant, sku)
        )""")
    op.execute("CREATE INDEX products_category ON products (tenant, category text_pattern_ops, sku)")
    op.execute("CREATE INDEX products_words ON products USING gin (words)")


def downgrade() -> None:
    op.execute("DROP TABLE products")
