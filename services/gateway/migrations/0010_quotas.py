"""What tenants may use, and what they used: limits by tenant, megapixels by day, and what each was charged for."""

from alembic import op

revision = "gateway_0010"
down_revision = "gateway_0009"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # NULL: as the gateway's settings say.
    op.execute("""
        CREATE TABLE quotas (
            tenant text PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
            requests_per_s double precision CHECK (requests_per_s > 0),
            requests_burst int CHECK (requests_burst >= 1),
            heavy_calls int CHECK (heavy_calls >= 0),
            operations_running int CHECK (operations_running >= 0),
            megapixels_day double precision CHECK (megapixels_day >= 0)
        )""")
    op.execute("""
        CREATE TABLE megapixels_used (
            tenant text NOT NULL REFERENCES tenants ON DELETE CASCADE,
            day date NOT NULL,
            megapixels double precision NOT NULL,
            PRIMARY KEY (tenant, day)
        )""")
    # `charge` names what was made: a room or an operation, charged once.
    op.execute("""
        CREATE TABLE charges (
            tenant text NOT NULL REFERENCES tenants ON DELETE CASCADE,
            charge text NOT NULL,
            day date NOT NULL,
            megapixels double precision NOT NULL,
            PRIMARY KEY (tenant, charge)
        )""")
    op.execute("CREATE INDEX operations_running_of ON operations (tenant) WHERE state = 'RUNNING'")


def downgrade() -> None:
    op.execute("DROP INDEX operations_running_of")
    op.execute("DROP TABLE charges, megapixels_used, quotas")
