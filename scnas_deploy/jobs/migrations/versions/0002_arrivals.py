"""Studies that arrive object by object; the next job is found without sorting those that wait."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make version 2 of version 1."""
    op.drop_index("scnas_jobs_ready", "scnas_jobs")
    order = (sa.text("priority DESC"), sa.text("(attempt - given_back)"))
    op.create_index("scnas_jobs_ready", "scnas_jobs", ["queue", "state", *order, "id"])
    op.create_table(
        "scnas_arrivals",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("study_uid", sa.String, nullable=False),
        sa.Column("called_ae_title", sa.String, nullable=False),
        sa.Column("calling_ae_title", sa.String, nullable=False),
        sa.Column("num_objects", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("closed_version", sa.Integer, nullable=False),
        sa.Column("first_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
    )
    is_open = sa.text("version > closed_version")
    op.create_index(
        "scnas_arrivals_open", "scnas_arrivals", ["last_at"], sqlite_where=is_open, postgresql_where=is_open
    )
    op.execute("UPDATE scnas_ledger SET version = 2")
