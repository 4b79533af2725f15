"""Jobs with leases."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of version 1."""
    op.create_table("scnas_ledger", sa.Column("version", sa.Integer, primary_key=True))
    op.create_table(
        "scnas_jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("queue", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("given_back", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("run_at", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double),
        sa.Column("worker", sa.String),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.String),
        sa.Column("enqueued_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.UniqueConstraint("queue", "key", name="scnas_jobs_once"),
    )
    op.create_index("ix_scnas_jobs_key", "scnas_jobs", ["key"])
    op.create_index("scnas_jobs_ready", "scnas_jobs", ["queue", "state", sa.text("priority DESC"), "id"])
    op.execute("INSERT INTO scnas_ledger (version) VALUES (1)")
