"""Insights: ids that shops reported, days that are counted, experiments and who was in them."""

from alembic import op

revision = "gateway_0008"
down_revision = "gateway_0007"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("""
        CREATE TABLE reported_events (
            tenant text NOT NULL,
            reported_id text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant, reported_id)
        )""")
    op.execute("CREATE INDEX reported_events_age ON reported_events (create_time)")
    # Days to be counted again. Written with their events, so whoever takes one out sees what it stands for.
    op.execute("""
        CREATE TABLE insight_marks (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            tenant text NOT NULL,
            day date NOT NULL
        )""")
    op.execute("""
        CREATE TABLE insight_days (
            tenant text NOT NULL,
            day date NOT NULL,
            type text NOT NULL,
            product text NOT NULL,
            surface_kind text NOT NULL,
            store text NOT NULL,
            currency text NOT NULL,
            events bigint NOT NULL,
            value numeric(30, 9) NOT NULL,
            PRIMARY KEY (tenant, day, type, product, surface_kind, store, currency)
        )""")
    # rooms and units are the smallest 64-bit hashes of the different ones (domain/insights.py). level tells what a row is
    # apart in: bits of what it is not, 4 product, 2 surface_kind, 1 store, as GROUPING() has them.
    op.execute("""
        CREATE TABLE insight_sketches (
            tenant text NOT NULL,
            day date NOT NULL,
            level smallint NOT NULL,
            type text NOT NULL,
            product text NOT NULL,
            surface_kind text NOT NULL,
            store text NOT NULL,
            rooms bigint[] NOT NULL,
            units bigint[] NOT NULL,
            PRIMARY KEY (tenant, level, day, type, product, surface_kind, store)
        )""")
    op.execute("""
        CREATE TABLE experiments (
            tenant text NOT NULL,
            experiment_id text NOT NULL,
            salt bytea NOT NULL,
            share double precision NOT NULL CHECK (share > 0 AND share < 1),
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant, experiment_id)
        )""")
    op.execute("""
        CREATE TABLE experiment_exposures (
            tenant text NOT NULL,
            experiment_id text NOT NULL,
            unit text NOT NULL,
            held_out boolean NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant, experiment_id, unit),
            FOREIGN KEY (tenant, experiment_id) REFERENCES experiments ON DELETE CASCADE
        )""")


def downgrade() -> None:
    op.execute(
        "DROP TABLE experiment_exposures, experiments, insight_sketches, insight_days, insight_marks, reported_events"
    )
