"""Events by month, webhook endpoints, what is sent to them and how that went."""

from datetime import UTC, datetime

from alembic import op

revision = "gateway_0007"
down_revision = "gateway_0006"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("""
        CREATE TABLE events (
            event_id text NOT NULL,
            time timestamptz NOT NULL,
            tenant text NOT NULL,
            type text NOT NULL,
            owner text NOT NULL,
            subject text NOT NULL,
            room text NOT NULL,
            product text NOT NULL,
            surface_kind text NOT NULL,
            store text NOT NULL,
            unit text NOT NULL,
            value numeric(20, 9),
            currency text NOT NULL,
            data jsonb NOT NULL,
            PRIMARY KEY (event_id, time)
        ) PARTITION BY RANGE (time)""")
    op.execute("CREATE INDEX events_tenant ON events (tenant, time)")
    op.execute("CREATE INDEX events_unit ON events (tenant, type, unit, time)")
    # What no month was made for; the sweeper makes months ahead, so that nothing should be in here.
    op.execute("CREATE TABLE events_other PARTITION OF events DEFAULT")
    now = datetime.now(UTC)
    for ahead in range(-1, 3):
        months = now.year * 12 + now.month - 1 + ahead
        (year, month), (next_year, next_month) = divmod(months, 12), divmod(months + 1, 12)
        op.execute(f"""
            CREATE TABLE events_{year}_{month + 1:02} PARTITION OF events
            FOR VALUES FROM ('{year}-{month + 1:02}-01 00:00+00') TO ('{next_year}-{next_month + 1:02}-01 00:00+00')""")
    op.execute("""
        CREATE TABLE webhook_endpoints (
            endpoint_id text PRIMARY KEY,
            tenant text NOT NULL,
            url text NOT NULL,
            event_types text[] NOT NULL,
            description text NOT NULL,
            disabled boolean NOT NULL,
            disable_reason text NOT NULL DEFAULT '',
            failing_since timestamptz,
            secret bytea NOT NULL,
            old_secret bytea,
            overlap_end_time timestamptz,
            etag text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant, create_time)")
    # next_time of one that is being sent is when another may take it over: it is the lease too.
    op.execute("""
        CREATE TABLE webhook_deliveries (
            delivery_id text PRIMARY KEY,
            endpoint_id text NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
            event_id text NOT NULL,
            event_time timestamptz NOT NULL,
            event_type text NOT NULL,
            state text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
            tries int NOT NULL DEFAULT 0,
            attempts int NOT NULL DEFAULT 0,
            sending boolean NOT NULL DEFAULT false,
            next_time timestamptz NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            UNIQUE (endpoint_id, event_id)
        )""")
    op.execute("CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_time) WHERE state = 'PENDING'")
    op.execute("CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (endpoint_id, create_time, delivery_id)")
    op.execute("""
        CREATE TABLE webhook_attempts (
            delivery_id text NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
            number int NOT NULL,
            create_time timestamptz NOT NULL,
            duration_ms int NOT NULL,
            status int NOT NULL,
            error text NOT NULL,
            excerpt text NOT NULL,
            PRIMARY KEY (delivery_id, number)
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE webhook_attempts, webhook_deliveries, webhook_endpoints, events")
