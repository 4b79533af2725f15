"""Opening a ledger: which databases are taken, and what is said of the others."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from scnas_deploy import extras
from scnas_deploy.errors import ConfigError, LedgerError, MissingExtraError
from scnas_deploy.jobs.job import NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import absolute_url, is_away, is_local, local_file, open_database, translated

PORTS = [f"postgresql://me:secret@{place}" for place in ("h:/db", "h:abc/db", "h/db?port=abc")]


@pytest.mark.parametrize(
    "url", ["", "ledger.db", "mysql://here/jobs", "sqlite://", "sqlite:///:memory:", "http://x", *PORTS]
)
def test_other_databases_are_refused(url):
    with pytest.raises(ConfigError, match="sqlite:///FILE or postgresql://"):
        open_database(url)


def test_the_driver_of_postgresql_is_named_when_missing(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"scnas-deploy\[scale\]"):
        open_database("postgresql://nobody@127.0.0.1:1/none")


def test_a_database_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(LedgerError, match="Connection refused") as caught:
        open_database("postgresql://someone:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in caught.value.redacted.replace('server at "127.0.0.1"', "")


def test_a_password_among_the_parameters_is_not_named():
    with pytest.raises(LedgerError, match=r"postgresql://127\.0\.0\.1:1/none\?user=\*\*\*&password=\*\*\*: ") as caught:
        open_database("postgresql://127.0.0.1:1/none?user=someone&password=secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["se@cret", "se@cr/et", "se@cr:et", "se@cr?et"])
def test_a_password_with_an_at_is_refused_and_not_named(password):
    with pytest.raises(ConfigError, match="Write %40") as caught:
        open_database(f"postgresql://someone:{password}@127.0.0.1:1/none")
    assert "cr" not in str(caught.value)


def test_a_file_is_the_same_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = absolute_url("sqlite:///jobs.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    open_database(url).dispose()
    assert (tmp_path / "jobs.db").is_file()
    assert absolute_url("postgresql://me:secret@h/db") == "postgresql://me:secret@h/db"


def test_the_file_of_a_ledger_is_told_where_it_is_one(tmp_path):
    assert local_file(f"sqlite:///{tmp_path}/jobs.db") == tmp_path / "jobs.db"
    assert local_file("sqlite:///file:jobs.db?uri=true") is None
    assert local_file("postgresql://me:secret@h/db") is None
    assert is_local("sqlite:///file:jobs.db?uri=true")
    assert not is_local("postgresql://me:secret@h/db")


def test_connections_that_are_all_in_use_are_a_ledger_that_does_not_answer(ledger_url):
    engine = open_database(ledger_url)
    engine.pool._timeout = 0.01
    with ExitStack() as held:
        for _ in range(engine.pool.size() + engine.pool._max_overflow):
            held.enter_context(engine.connect())
        with pytest.raises(LedgerError, match="all of them in use") as caught, translated(engine.url):
            engine.connect()
    engine.dispose()
    assert is_away(caught.value)


def test_a_server_that_vanishes_is_not_waited_for_for_ever(postgres):
    engine = open_database(f"{postgres.url}&options=-csearch_path%3Dpublic&keepalives_idle=7")
    with engine.connect() as connection:
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("statement_timeout", "search_path")]
        libpq = connection.connection.dbapi_connection.info.get_parameters()
    engine.dispose()
    assert shown == ["1min", "public"]
    assert (libpq["keepalives_idle"], libpq["keepalives_interval"], libpq["keepalives_count"]) == ("7", "10", "3")
    assert libpq["tcp_user_timeout"] == "60000"


def test_a_folder_that_is_not_there_and_a_file_that_is_no_database(tmp_path):
    with pytest.raises(LedgerError, match="unable to open"):
        open_database(f"sqlite:///{tmp_path}/nowhere/ledger.db")
    (tmp_path / "text.db").write_text("no database at all" * 100)
    with pytest.raises(LedgerError, match="not a database"):
        open_database(f"sqlite:///{tmp_path}/text.db")


def test_a_ledger_of_another_version_is_refused_and_left_alone(ledger_url):
    engine = open_database(ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE scnas_ledger SET version = 99"))
        connection.execute(sa.text("DROP TABLE scnas_jobs"))
    for _ in range(2):
        with pytest.raises(LedgerError, match="expected a job ledger of schema 3 or an earlier one, found schema 99"):
            open_database(ledger_url)
    assert not sa.inspect(engine).has_table("scnas_jobs")
    engine.dispose()


def test_a_statement_that_fails_tells_no_value(ledger_url):
    engine = open_database(ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE scnas_jobs DROP COLUMN error"))
    engine.dispose()
    with Ledger(ledger_url) as ledger:
        ledger.enqueue("queue", [NewJob(key="k", kind="test", payload={})])
        with pytest.raises(LedgerError) as caught:
            ledger.fail(ledger.claim("w", queue="queue", lease_s=9.0), "DOE^JOHN", retry_in_s=None)
    assert "DOE" not in str(caught.value)
    assert "DOE" not in str(caught.value.__cause__)


def test_all_who_open_a_new_ledger_at_the_same_time_get_it(ledger_url):
    barrier = threading.Barrier(8)

    def open_it(_: int) -> None:
        barrier.wait()
        open_database(ledger_url).dispose()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_it, range(8)))


def test_sqlite_keeps_what_it_has_promised_through_a_power_cut(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    with engine.connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    engine.dispose()
    assert settings == ["wal", 2]
