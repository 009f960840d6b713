"""When a room was last used; what was erased, and exports of what is kept of somebody; jobs of the gateway's own."""

from alembic import op

from roomviz.runtime.tables import JOBS, PURGED

revision = "gateway_0011"
down_revision = "gateway_0010"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(JOBS)
    op.execute(PURGED)
    op.execute("ALTER TABLE rooms ADD COLUMN use_time timestamptz NOT NULL DEFAULT now()")
    op.execute("CREATE INDEX rooms_unused ON rooms (tenant, use_time)")
    # Only while an erasure is under way: what stays is the receipt, in its operation, which names nothing.
    op.execute("""
        CREATE TABLE erasures (
            operation_id text PRIMARY KEY,
            tenant text NOT NULL,
            kind text NOT NULL CHECK (kind IN ('DELETE', 'ANONYMIZE', 'PURGE')),
            pseudonym text NOT NULL,
            rooms text[] NOT NULL,
            operations text[] NOT NULL,
            prefixes text[] NOT NULL,
            removed jsonb NOT NULL,
            kept jsonb NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("""
        CREATE TABLE erased_objects (
            operation_id text NOT NULL REFERENCES erasures ON DELETE CASCADE,
            key_digest bytea NOT NULL,
            kind text NOT NULL,
            size_bytes bigint NOT NULL,
            etag text NOT NULL,
            PRIMARY KEY (operation_id, key_digest)
        )""")
    op.execute("""
        CREATE TABLE exports (
            export_id text PRIMARY KEY,
            tenant text NOT NULL,
            owner text NOT NULL,
            subject text NOT NULL,
            object_key text NOT NULL,
            size_bytes bigint NOT NULL,
            content_digest text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            expire_time timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX exports_expire ON exports (expire_time)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE exports, erased_objects, erasures")
    op.execute("ALTER TABLE rooms DROP COLUMN use_time")
    op.execute("DROP TABLE purged, jobs")
