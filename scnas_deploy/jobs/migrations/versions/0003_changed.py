"""What has changed last, and how much since when, is found without looking at all jobs there are."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make version 3 of version 2."""
    op.create_index("scnas_jobs_changed", "scnas_jobs", ["queue", "state", "changed_at"])
    op.execute("UPDATE scnas_ledger SET version = 3")
