"""What alembic runs: the steps, on the connection and in the transaction it was given. Leaves logging as it is."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="scnas_ledger_revision")
context.run_migrations()
