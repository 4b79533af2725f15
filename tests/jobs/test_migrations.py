"""A ledger's way from version to version: nothing is lost, and a step that is broken off has not begun."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from scnas_deploy.errors import LedgerError
from scnas_deploy.jobs import migrations
from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import ARRIVALS, SCHEMA_VERSION, TABLES
from tests.jobs.old_ledger import STATES, connect, make_old_ledger, open_and_close, version_of

REVISIONS = "scnas_ledger_revision"
KEYS = [f"the {state} one" for state in STATES]

DIES_HALF_WAY = """
import os, signal, sys
import sqlalchemy as sa
from scnas_deploy.jobs.schema import open_database

@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def die(connection, cursor, statement, *_):
    if "CREATE TABLE scnas_arrivals" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

open_database(sys.argv[1])
"""


@pytest.fixture
def database(ledger_url):
    engine = connect(ledger_url)
    yield engine
    engine.dispose()


def columns_of_ready(engine):
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            return connection.exec_driver_sql(
                "SELECT sql FROM sqlite_master WHERE name = 'scnas_jobs_ready'"
            ).scalar_one()
        named = "SELECT indexdef FROM pg_indexes WHERE indexname = 'scnas_jobs_ready' AND schemaname = current_schema()"
        return connection.exec_driver_sql(named).scalar_one()


def assert_is_whole(engine):
    """What the steps have made is what the code takes it to be."""
    assert version_of(engine) == SCHEMA_VERSION
    with engine.connect() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*expression-based index '?scnas_jobs_ready")
        options = {"version_table": REVISIONS, "compare_type": True, "include_object": _is_comparable}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, TABLES) == []
        assert context.get_current_revision() == f"{SCHEMA_VERSION:04}"
    assert re.search(r"priority DESC, \(+attempt - given_back\)+, id", columns_of_ready(engine))


def _is_comparable(_element, name, *_):
    """SQLite's reflection passes over an index of an expression; this one is looked at by itself."""
    return name != "scnas_jobs_ready"


def assert_is_old(engine):
    assert version_of(engine) == 1
    assert not sa.inspect(engine).has_table(ARRIVALS.name)
    assert "priority DESC, id" in columns_of_ready(engine)


def test_a_new_ledger_is_what_the_code_takes_it_to_be(ledger_url, database):
    open_and_close(ledger_url)
    assert_is_whole(database)


def test_the_latest_step_is_the_version_that_is_asked_for():
    steps = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert steps.get_heads() == [f"{SCHEMA_VERSION:04}"]
    assert [step.revision for step in steps.walk_revisions()] == [f"{n:04}" for n in range(SCHEMA_VERSION, 0, -1)]


def test_a_ledger_of_version_1_is_taken_over_with_all_it_holds(ledger_url, database):
    make_old_ledger(ledger_url)
    with Ledger(ledger_url, clock=lambda: 3000.0) as ledger:
        assert_is_whole(database)
        jobs = ledger.named("studies", KEYS)
        assert [jobs[key].state for key in KEYS] == list(STATES)
        for state, job in zip(STATES, jobs.values(), strict=True):
            assert jobs[f"the {state} one"].payload == {"path": "ä", "of": state}
            assert (job.priority, job.attempt, job.given_back, job.max_attempts) == (7, 3, 1, 4)
            assert (job.worker, job.enqueued_at, job.changed_at) == ("host/1/abc", 1000.5, 2000.5)
        assert jobs["the done one"].result == {"ml": 3.5}
        assert jobs["the dead one"].error == "expected a scan, found none."
        ledger.enqueue("studies", [NewJob(key="new", kind="study", payload={})])
        assert ledger.claim("w", queue="studies", lease_s=9.0).job.key == "the queued one"
        assert ledger.cancel(jobs["the running one"].id, "why") is JobState.CANCELLED


def test_a_ledger_is_brought_up_to_date_once_by_whoever_comes_first(ledger_url, database):
    make_old_ledger(ledger_url)
    barrier = threading.Barrier(6)

    def open_it(_: int) -> None:
        barrier.wait()
        open_and_close(ledger_url)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_it, range(6)))
    assert_is_whole(database)


def test_several_new_ledgers_are_made_at_the_same_time(tmp_path):
    urls = [f"sqlite:///{tmp_path}/{n}.db" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_and_close, urls))
    for url in urls:
        engine = connect(url)
        assert_is_whole(engine)
        engine.dispose()


def test_a_process_killed_half_way_leaves_the_old_version_whole(ledger_url, database):
    make_old_ledger(ledger_url)
    killed = subprocess.run([sys.executable, "-c", DIES_HALF_WAY, ledger_url], env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    assert_is_old(database)
    assert not sa.inspect(database).has_table(REVISIONS)
    open_and_close(ledger_url)
    assert_is_whole(database)


def test_a_step_that_fails_leaves_the_old_version_whole_and_the_next_goes_on(ledger_url, database):
    make_old_ledger(ledger_url)
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW scnas_arrivals AS SELECT 1 AS one")
    with pytest.raises(LedgerError):
        open_and_close(ledger_url)
    with database.begin() as connection:
        connection.exec_driver_sql("DROP VIEW scnas_arrivals")
    assert_is_old(database)
    open_and_close(ledger_url)
    assert_is_whole(database)


def test_an_earlier_program_refuses_the_ledger_from_now_on(ledger_url, database):
    """It asks for exactly its own version."""
    make_old_ledger(ledger_url)
    open_and_close(ledger_url)
    assert version_of(database) != 1


@pytest.mark.parametrize("made", [True, False])
def test_only_who_makes_or_changes_a_ledger_loads_alembic(tmp_path, made):
    url = f"sqlite:///{tmp_path}/ledger.db"
    if made:
        open_and_close(url)
    told = (
        "import sys; from scnas_deploy.jobs.ledger import Ledger; Ledger(sys.argv[1]); print('alembic' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", told, url], capture_output=True, text=True, check=True)
    assert said.stdout == f"{not made}\n"


def test_a_ledger_that_is_up_to_date_is_opened_while_another_writes(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger(url) as ledger, ledger.transaction():
        open_and_close(url)


def test_logging_stays_as_it_is(tmp_path):
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level)
    open_and_close(f"sqlite:///{tmp_path}/ledger.db")
    assert (logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level) == before
    assert not logging.getLogger("scnas_deploy.jobs").disabled


def test_a_folder_of_any_name_may_hold_the_package(tmp_path, monkeypatch):
    """Alembic takes a percent sign for the beginning of another value."""
    folder = tmp_path / "100% mine"
    folder.symlink_to(Path(migrations.__file__).parent)
    monkeypatch.setattr(migrations, "__file__", str(folder / "__init__.py"))
    open_and_close(f"sqlite:///{tmp_path}/ledger.db")
