"""Sessions of photos, results by content, and the secret that signs links to files."""

from alembic import op

revision = "gateway_0009"
down_revision = "gateway_0008"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("""
        CREATE TABLE photo_sessions (
            session_id text PRIMARY KEY,
            tenant text NOT NULL,
            owner text NOT NULL,
            file_name text NOT NULL DEFAULT '',
            room_id text REFERENCES rooms ON DELETE CASCADE,
            operation_id text,
            batch_id text,
            position int NOT NULL DEFAULT 0,
            error bytea,
            create_time timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute(
        "CREATE INDEX photo_sessions_batch ON photo_sessions (tenant, batch_id, position) WHERE batch_id IS NOT NULL"
    )
    op.execute("CREATE INDEX photo_sessions_room ON photo_sessions (room_id)")
    op.execute("CREATE INDEX photo_sessions_empty ON photo_sessions (create_time) WHERE room_id IS NULL")
    op.execute("""
        CREATE TABLE photo_results (
            tenant text NOT NULL,
            content_digest text NOT NULL,
            room_id text NOT NULL REFERENCES rooms ON DELETE CASCADE,
            analysis bytea NOT NULL,
            mask_keys text[] NOT NULL,
            picture_key text NOT NULL,
            seconds double precision NOT NULL,
            description text NOT NULL,
            summary text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant, content_digest)
        )""")
    op.execute("CREATE INDEX photo_results_room ON photo_results (room_id)")
    op.execute("CREATE TABLE link_secrets (name text PRIMARY KEY, secret bytea NOT NULL)")


def downgrade() -> None:
    op.execute("DROP TABLE link_secrets, photo_results, photo_sessions")
