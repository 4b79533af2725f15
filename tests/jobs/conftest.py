"""Ledgers of both kinds, and a clock that a test sets."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from scnas_deploy.jobs.job import NewJob
from scnas_deploy.jobs.ledger import Ledger
from tests.conftest import REQUIRE_ALL
from tests.jobs.postgres import Postgres, find_programs

_NUMBERS = count()


class SetClock:
    """Seconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server."""
    programs = find_programs()
    if programs is None:
        message = "PostgreSQL is not installed (apt-get install postgresql)"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
    server = Postgres(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return empty_schema(request.getfixturevalue("postgres"))


def empty_schema(server: Postgres) -> str:
    """The URL of an own room within the server's database."""
    schema = f"test{next(_NUMBERS)}"
    engine = sa.create_engine(server.url.replace("postgresql", "postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    engine.dispose()
    return f"{server.url}&options=-csearch_path%3D{schema}"


@pytest.fixture
def ledger(ledger_url: str, clock: SetClock) -> Iterator[Ledger]:
    with Ledger(ledger_url, clock=clock) as opened:
        yield opened


def new_jobs(number: int, **settings: object) -> list[NewJob]:
    return [NewJob(key=f"job {n}", kind="test", payload={"n": n}, **settings) for n in range(number)]
