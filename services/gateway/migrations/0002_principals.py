"""Tenants; what an API key may do; who made each room, operation and visualization, and when they go."""

from alembic import op

revision = "gateway_0002"
down_revision = "gateway_0001"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("""
        CREATE TABLE tenants (
            tenant text PRIMARY KEY CHECK (tenant <> ''),
            display_name text NOT NULL DEFAULT '',
            retention_days int NOT NULL DEFAULT 30 CHECK (retention_days BETWEEN 1 AND 3650),
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("INSERT INTO tenants (tenant) SELECT DISTINCT tenant FROM api_keys ON CONFLICT DO NOTHING")
    op.execute("""
        ALTER TABLE api_keys
            ADD COLUMN key_id text NOT NULL UNIQUE DEFAULT md5(random()::text || clock_timestamp()::text),
            ADD COLUMN display_name text NOT NULL DEFAULT '',
            ADD COLUMN role text NOT NULL DEFAULT 'OWNER'
                CHECK (role IN ('OWNER', 'EDITOR', 'VIEWER', 'KIOSK', 'SHOPPER')),
            ADD COLUMN scopes text[] NOT NULL DEFAULT '{}',
            ADD COLUMN store text NOT NULL DEFAULT '',
            ADD COLUMN expire_time timestamptz,
            ADD CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants""")
    for table in ("rooms", "operations", "visualizations"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN owner text NOT NULL DEFAULT ''")
    for table in ("rooms", "visualizations"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN delete_time timestamptz, ADD COLUMN purge_time timestamptz")
        op.execute(f"CREATE INDEX {table}_purge ON {table} (purge_time) WHERE purge_time IS NOT NULL")
    # Two callers of one tenant who see only their own have a room each, of the same photo.
    op.execute("ALTER TABLE rooms DROP CONSTRAINT rooms_tenant_content_digest_key")
    op.execute("ALTER TABLE rooms ADD CONSTRAINT rooms_content UNIQUE (tenant, owner, content_digest)")


def downgrade() -> None:
    op.execute("ALTER TABLE rooms DROP CONSTRAINT rooms_content")
    # There is one room of a photo again: the oldest.
    op.execute("""
        DELETE FROM rooms r USING rooms o WHERE r.tenant = o.tenant AND r.content_digest = o.content_digest
            AND (r.create_time, r.room_id) > (o.create_time, o.room_id)""")
    op.execute("ALTER TABLE rooms ADD CONSTRAINT rooms_tenant_content_digest_key UNIQUE (tenant, content_digest)")
    for table in ("rooms", "visualizations"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN delete_time, DROP COLUMN purge_time")
    for table in ("rooms", "operations", "visualizations"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN owner")
    op.execute("""
        ALTER TABLE api_keys DROP CONSTRAINT api_keys_tenant_fkey, DROP COLUMN key_id, DROP COLUMN display_name,
            DROP COLUMN role, DROP COLUMN scopes, DROP COLUMN store, DROP COLUMN expire_time""")
    op.execute("DROP TABLE tenants")
