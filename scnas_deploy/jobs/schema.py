"""The ledger's tables, and opening a database that holds them."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from scnas_deploy.errors import ConfigError, LedgerError, StaleLeaseError
from scnas_deploy.extras import check_installed

SCHEMA_VERSION: Final = 3
"""Number of the latest migration; see :mod:`scnas_deploy.jobs.migrations`."""

TABLES: Final = sa.MetaData()
"""All of them, as the latest migration leaves them."""
_VERSION: Final = sa.Table("scnas_ledger", TABLES, sa.Column("version", sa.Integer, primary_key=True))
_BIG: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts by itself in its INTEGER only
JOBS: Final = sa.Table(
    "scnas_jobs",
    TABLES,
    sa.Column("id", _BIG, primary_key=True, autoincrement=True),
    sa.Column("queue", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("given_back", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("run_at", sa.Double, nullable=False),  # seconds since 1970, as all times here
    sa.Column("lease_until", sa.Double),
    sa.Column("worker", sa.String),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.String),
    sa.Column("enqueued_at", sa.Double, nullable=False),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.UniqueConstraint("queue", "key", name="scnas_jobs_once"),
)
NUM_ATTEMPTS: Final = JOBS.c.attempt - JOBS.c.given_back
"""Attempts that count."""
CLAIM_ORDER: Final = (JOBS.c.priority.desc(), NUM_ATTEMPTS, JOBS.c.id)
"""Which of the jobs that may be run comes first."""
sa.Index("scnas_jobs_ready", JOBS.c.queue, JOBS.c.state, *CLAIM_ORDER)
sa.Index("scnas_jobs_changed", JOBS.c.queue, JOBS.c.state, JOBS.c.changed_at)
_OPEN: Final = sa.text("version > closed_version")
ARRIVALS: Final = sa.Table(
    "scnas_arrivals",
    TABLES,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("study_uid", sa.String, nullable=False),
    sa.Column("called_ae_title", sa.String, nullable=False),
    sa.Column("calling_ae_title", sa.String, nullable=False),
    sa.Column("num_objects", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # grows with each object
    sa.Column("closed_version", sa.Integer, nullable=False),  # the version that was last taken to be complete
    sa.Column("first_at", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double, nullable=False),
    sa.Column("outcome", sa.String, nullable=False, default=""),  # what became of it when it was last complete
    sa.Index("scnas_arrivals_open", "last_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
)

_WRITES: Final = "scnas_writes"
_BUSY_SECONDS: Final = 30.0
_WAL_WAIT_SECONDS: Final = 0.02
_POSTGRES: Final = {
    "connect_timeout": 10,  # seconds, as the next two
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
"""How long libpq waits for a server that has vanished from the network, unless the URL says otherwise."""
_STATEMENT_TIMEOUT: Final = "-c statement_timeout=60s"
_ADVISORY_LOCK: Final = 0x73636E6173  # "scnas": one process at a time makes or changes the tables
_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_TELLING: Final = (sa.exc.OperationalError, sa.exc.InternalError)
"""Errors of the database itself, whose messages hold no values."""
_REFUSALS: Final = (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.ProgrammingError)
"""What the database answers to statements that it will never carry out."""


def open_database(url: str) -> sa.Engine:
    """Connect to a ledger, and make its tables where there are none or bring those of an earlier version up to date.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``.

    Raises:
        ConfigError: If that is neither.
        MissingExtraError: If PostgreSQL's driver is not installed.
        LedgerError: If the database cannot be reached, or was made by a later version.
    """
    engine = _engine(_checked(url))
    try:
        with translated(engine.url):
            _prepare(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def is_local(url: str) -> bool:
    """Whether a ledger is a file, which no other machine reaches.

    Raises:
        ConfigError: If it is no ledger's URL; nothing is connected to.
        MissingExtraError: If PostgreSQL's driver is not installed.
    """
    return _checked(url).get_backend_name() == "sqlite"


def local_file(url: str) -> Path | None:
    """Return the file of a ledger that is named by its path; else None.

    Raises:
        ConfigError: If it is no ledger's URL; nothing is connected to.
        MissingExtraError: If PostgreSQL's driver is not installed.
    """
    parsed = _checked(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database is None or parsed.database.startswith("file:"):
        return None
    return Path(parsed.database)


def absolute_url(url: str) -> str:
    """Return the URL of the same ledger for a process that runs in another folder.

    Raises:
        ConfigError: If it is no ledger's URL.
        MissingExtraError: If PostgreSQL's driver is not installed.
    """
    file = local_file(url)
    if file is None:
        return url
    return _checked(url).set(database=str(file.resolve())).render_as_string(hide_password=False)


def sqlite_url(path: Path) -> str:
    """Return the URL of a ledger in a file."""
    return sa.URL.create("sqlite", database=str(path.resolve())).render_as_string()


@contextmanager
def translated(url: sa.URL) -> Iterator[None]:
    """Turn the driver's errors into ours, without the values it was given."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise LedgerError(
            _shown(url),
            expected="a connection that is free",
            found="all of them in use",
            remedy="Run the command again when less goes on",
        ) from error
    except sa.exc.DBAPIError as error:
        telling = isinstance(error, _TELLING) or type(error) is sa.exc.DatabaseError
        text = str(error.orig).strip().splitlines()[0] if telling and str(error.orig).strip() else ""
        raise LedgerError(
            _shown(url),
            expected="a job ledger that answers",
            found=text or type(error.orig).__name__,
            remedy="Check that the database runs, has space and may be written to, then run the command again",
        ) from error


def is_away(error: LedgerError) -> bool:
    """Whether the database could not be asked, or could not answer, so that asking it again later may help."""
    return not isinstance(error, StaleLeaseError) and not isinstance(error.__cause__, _REFUSALS)


def writing(engine: sa.Engine) -> sa.Engine:
    """The same database for transactions that write: SQLite locks it at their beginning instead of half-way."""
    return engine.execution_options(**{_WRITES: True})


def _checked(url: str) -> sa.URL:
    if url.startswith("postgres") and url.count("@") > 1:  # which part is the password is anybody's guess
        raise _unusable("more than one @", remedy="Write %40 for an @ in a name or password")
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise _unusable("something else") from error
    driver = _DRIVERS.get(parsed.drivername.split("+")[0])
    if driver is None:
        raise _unusable(f"{parsed.drivername}://")
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise _unusable("a SQLite URL without a file")
    if driver.startswith("postgresql"):
        check_installed("psycopg", extra="scale", purpose="a job ledger on PostgreSQL")
    return parsed.set(drivername=driver)


def _shown(url: sa.URL) -> str:
    """A URL without what may be a password, which libpq takes among the parameters too."""
    plain = url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)
    return "?".join([plain, *(["&".join(f"{name}=***" for name in url.query)] if url.query else [])])


def _unusable(found: str, *, remedy: str = "Correct the ledger's URL") -> ConfigError:
    return ConfigError(
        "the ledger",
        expected="sqlite:///FILE or postgresql://USER@HOST/DATABASE",
        found=found,
        remedy=remedy,
    )


def _engine(url: sa.URL) -> sa.Engine:
    sqlite = url.get_backend_name() == "sqlite"
    arguments = {"timeout": _BUSY_SECONDS} if sqlite else _postgres_arguments(url)
    try:
        engine = sa.create_engine(url, pool_pre_ping=not sqlite, hide_parameters=True, connect_args=arguments)
    except sa.exc.ArgumentError as error:
        raise _unusable("parameters that contradict each other") from error
    if sqlite:
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres_arguments(url: sa.URL) -> dict[str, object]:
    limits = {name: value for name, value in _POSTGRES.items() if name not in url.query}
    return {**limits, "options": " ".join([_STATEMENT_TIMEOUT, *url.normalized_query.get("options", ())])}


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin below, not where the driver thinks they should
    connection.execute("PRAGMA synchronous=FULL")
    deadline = time.monotonic() + _BUSY_SECONDS
    while not _wal(connection, last_try=time.monotonic() > deadline):
        time.sleep(_WAL_WAIT_SECONDS)


def _wal(connection: sqlite3.Connection, *, last_try: bool) -> bool:
    """Turn on the write-ahead log; of several that do so to a new file at once, SQLite has only one wait."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if last_try or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(engine: sa.Engine) -> None:
    """Bring the tables to today's version, which they mostly are."""
    with engine.connect() as connection:
        if _is_current(connection):
            return
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        if not _is_current(connection):  # nobody else has done it meanwhile
            from scnas_deploy.jobs.migrations import bring_up_to_date  # alembic takes longer than opening a ledger

            bring_up_to_date(connection, _version(connection))


def _is_current(connection: sa.Connection) -> bool:
    version = _version(connection)
    if version is not None and version > SCHEMA_VERSION:
        raise LedgerError(
            _shown(connection.engine.url),
            expected=f"a job ledger of schema {SCHEMA_VERSION} or an earlier one",
            found=f"schema {version}",
            remedy="Use the version of scnas-deploy that made it, or another ledger",
        )
    return version == SCHEMA_VERSION


def _version(connection: sa.Connection) -> int | None:
    """Schema of a ledger; None where there is none yet."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(sa.select(_VERSION.c.version))
