"""Descriptions of rooms, one for each state of an analysis and each provider."""

from alembic import op

revision = "gateway_0004"
down_revision = "gateway_0003"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE descriptions (
            tenant text NOT NULL,
            room_id text NOT NULL REFERENCES rooms ON DELETE CASCADE,
            analysis_digest text NOT NULL,
            asked text NOT NULL,
            description text NOT NULL,
            technical_summary text NOT NULL,
            provider text NOT NULL,
            fallback_reason text NOT NULL,
            create_time timestamptz NOT NULL,
            PRIMARY KEY (tenant, room_id, analysis_digest, asked)
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE descriptions")
