"""Users, their sessions, tries to sign in; keys that rotate."""

from alembic import op

revision = "gateway_0005"
down_revision = "gateway_0002"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE tenants ADD COLUMN revision bigint NOT NULL DEFAULT 1")
    # The secret before the last rotation, and until when it works.
    op.execute("""
        ALTER TABLE api_keys
            ADD COLUMN overlap_hash bytea,
            ADD COLUMN overlap_expire_time timestamptz,
            ADD COLUMN update_time timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN revision bigint NOT NULL DEFAULT 1""")
    op.execute("CREATE INDEX api_keys_overlap ON api_keys (overlap_hash) WHERE overlap_hash IS NOT NULL")
    op.execute("CREATE INDEX api_keys_tenant ON api_keys (tenant, create_time, key_id)")
    op.execute("""
        CREATE TABLE users (
            user_id text PRIMARY KEY,
            tenant text NOT NULL REFERENCES tenants,
            email text NOT NULL,
            display_name text NOT NULL,
            role text NOT NULL CHECK (role IN ('OWNER', 'EDITOR', 'VIEWER', 'KIOSK', 'SHOPPER')),
            password_hash text NOT NULL,
            disabled boolean NOT NULL DEFAULT false,
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now(),
            revision bigint NOT NULL DEFAULT 1,
            UNIQUE (tenant, email)
        )""")
    op.execute("""
        CREATE TABLE sessions (
            session_id text PRIMARY KEY,
            user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
            create_time timestamptz NOT NULL DEFAULT now(),
            expire_time timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX sessions_user ON sessions (user_id)")
    # Used ones stay as long as their session, to know one that comes again.
    op.execute("""
        CREATE TABLE refresh_tokens (
            token_hash bytea PRIMARY KEY,
            session_id text NOT NULL REFERENCES sessions ON DELETE CASCADE,
            use_time timestamptz
        )""")
    op.execute("CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id)")
    # A bucket is a hash: this table knows no address, of e-mail or of the network.
    op.execute("""
        CREATE TABLE tries (
            bucket bytea PRIMARY KEY,
            count int NOT NULL,
            update_time timestamptz NOT NULL DEFAULT now(),
            next_time timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX tries_update_time ON tries (update_time)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE tries, refresh_tokens, sessions, users")
    op.execute("DROP INDEX api_keys_tenant")
    op.execute("""
        ALTER TABLE api_keys DROP COLUMN overlap_hash, DROP COLUMN overlap_expire_time, DROP COLUMN update_time,
            DROP COLUMN revision""")
    op.execute("ALTER TABLE tenants DROP COLUMN revision")
