"""How a ledger comes from one version of its tables to the next, by alembic.

``versions/`` holds one file a step, ``0001_jobs.py`` and on; a new ledger goes through all of them. A step that a
release has shipped is never changed. To change the tables, add a step, make the same change in
:mod:`scnas_deploy.jobs.schema` and raise its ``SCHEMA_VERSION``; tests compare the two.
"""

import threading
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

_ONE_AT_A_TIME: Final = threading.Lock()  # alembic keeps what it works on in globals


def bring_up_to_date(connection: sa.Connection, version: int | None) -> None:
    """Take all steps that a ledger has not taken yet, within the transaction that the caller has begun.

    Args:
        connection: Holds the transaction, and the lock that keeps others from doing the same.
        version: Number of the latest step taken, which ledgers know that are older than this folder; None for none.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with _ONE_AT_A_TIME:
        if version is not None:
            command.stamp(config, f"{version:04}")
        command.upgrade(config, "head")
