"""Names, marks and versions of rooms and visualizations; request ids; uploads in pieces; share links."""

from alembic import op

revision = "gateway_0006"
down_revision = "gateway_0005"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for table in ("rooms", "visualizations"):
        op.execute(f"""
            ALTER TABLE {table}
                ADD COLUMN revision bigint NOT NULL DEFAULT 1,
                ADD COLUMN update_time timestamptz NOT NULL DEFAULT now()""")
        op.execute(f"UPDATE {table} SET update_time = create_time")
    # What is deleted does not stand in the way of the same photo sent again.
    op.execute("ALTER TABLE rooms DROP CONSTRAINT rooms_content")
    op.execute("CREATE UNIQUE INDEX rooms_content ON rooms (tenant, owner, content_digest) WHERE delete_time IS NULL")
    op.execute("CREATE INDEX rooms_newest ON rooms (tenant, create_time DESC, room_id DESC)")
    op.execute("""
        ALTER TABLE visualizations
            ADD COLUMN room text NOT NULL DEFAULT '',
            ADD COLUMN display_name text NOT NULL DEFAULT '',
            ADD COLUMN favorite boolean NOT NULL DEFAULT false,
            ADD COLUMN save_time timestamptz""")
    op.execute("""
        UPDATE visualizations v SET room = o.subject
        FROM operations o WHERE o.tenant = v.tenant AND o.operation_id = v.visualization_id""")
    op.execute("CREATE INDEX visualizations_newest ON visualizations (tenant, create_time DESC, visualization_id DESC)")
    op.execute("CREATE INDEX visualizations_room ON visualizations (tenant, room)")

    # What was answered to which request id, for a day.
    op.execute("""
        CREATE TABLE requests (
            tenant text NOT NULL,
            subject text NOT NULL,
            request_id text NOT NULL,
            rpc text NOT NULL,
            fingerprint text NOT NULL,
            response bytea NOT NULL DEFAULT '',
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant, subject, request_id)
        )""")
    op.execute("CREATE INDEX requests_age ON requests (create_time)")
    op.execute("""
        INSERT INTO requests (tenant, subject, request_id, rpc, fingerprint, response, create_time)
        SELECT tenant, owner, request_id, verb, fingerprint, convert_to(operation_id, 'UTF8'), create_time
        FROM operations WHERE request_id IS NOT NULL AND create_time > now() - interval '24 hours'""")
    op.execute("ALTER TABLE operations DROP CONSTRAINT operations_tenant_request_id_key")
    op.execute("ALTER TABLE operations ADD COLUMN delete_time timestamptz")
    op.execute("CREATE INDEX operations_newest ON operations (tenant, create_time DESC, operation_id DESC)")

    op.execute("""
        CREATE TABLE uploads (
            upload_id text PRIMARY KEY,
            tenant text NOT NULL,
            owner text NOT NULL,
            display_name text NOT NULL,
            size_bytes bigint NOT NULL CHECK (size_bytes > 0),
            content_digest text NOT NULL,
            received_bytes bigint NOT NULL DEFAULT 0,
            parts text[] NOT NULL DEFAULT '{}',
            writer text,
            write_time timestamptz NOT NULL DEFAULT now(),
            room text NOT NULL DEFAULT '',
            create_time timestamptz NOT NULL DEFAULT now(),
            expire_time timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX uploads_expire ON uploads (expire_time)")

    op.execute("""
        CREATE TABLE shares (
            share_id text PRIMARY KEY,
            tenant text NOT NULL,
            visualization_id text NOT NULL,
            owner text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            expire_time timestamptz NOT NULL,
            revoke_time timestamptz
        )""")
    op.execute(
        "CREATE INDEX shares_visualization ON shares (tenant, visualization_id, create_time DESC, share_id DESC)"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE shares, uploads, requests")
    op.execute("DROP INDEX operations_newest")
    op.execute("ALTER TABLE operations DROP COLUMN delete_time")
    # Two callers of a tenant may have used one id by now.
    op.execute("UPDATE operations SET request_id = NULL")
    op.execute("ALTER TABLE operations ADD CONSTRAINT operations_tenant_request_id_key UNIQUE (tenant, request_id)")
    op.execute("DROP INDEX visualizations_room, visualizations_newest, rooms_newest, rooms_content")
    # What was deleted is gone for who goes back: there is one room of a photo again.
    op.execute("DELETE FROM rooms WHERE delete_time IS NOT NULL")
    op.execute("DELETE FROM visualizations WHERE delete_time IS NOT NULL")
    op.execute("ALTER TABLE rooms ADD CONSTRAINT rooms_content UNIQUE (tenant, owner, content_digest)")
    op.execute("""
        ALTER TABLE visualizations DROP COLUMN room, DROP COLUMN display_name, DROP COLUMN favorite,
            DROP COLUMN save_time""")
    for table in ("rooms", "visualizations"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN revision, DROP COLUMN update_time")
