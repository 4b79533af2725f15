"""A ledger as version 1 made it, before there were migrations: its own statements, and a job in each state."""

import json

import sqlalchemy as sa

from scnas_deploy.jobs.schema import open_database

STATES = ("queued", "running", "done", "failed", "dead")

_TABLES = (
    """CREATE TABLE scnas_jobs (
        id {id} NOT NULL,
        queue VARCHAR NOT NULL,
        "key" VARCHAR NOT NULL,
        kind VARCHAR NOT NULL,
        payload JSON NOT NULL,
        priority INTEGER NOT NULL,
        state VARCHAR(10) NOT NULL,
        attempt INTEGER NOT NULL,
        given_back INTEGER NOT NULL,
        max_attempts INTEGER NOT NULL,
        run_at {double} NOT NULL,
        lease_until {double},
        worker VARCHAR,
        result JSON,
        error VARCHAR,
        enqueued_at {double} NOT NULL,
        changed_at {double} NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT scnas_jobs_once UNIQUE (queue, "key")
    )""",
    "CREATE INDEX scnas_jobs_ready ON scnas_jobs (queue, state, priority DESC, id)",
    'CREATE INDEX ix_scnas_jobs_key ON scnas_jobs ("key")',
    "CREATE TABLE scnas_ledger (version {number} NOT NULL, PRIMARY KEY (version))",
    "INSERT INTO scnas_ledger (version) VALUES (1)",
)
_TYPES = {
    "sqlite": {"id": "INTEGER", "number": "INTEGER", "double": "DOUBLE"},
    "postgresql": {"id": "BIGSERIAL", "number": "SERIAL", "double": "DOUBLE PRECISION"},
}
_JOB = """INSERT INTO scnas_jobs (queue, "key", kind, payload, priority, state, attempt, given_back, max_attempts,
    run_at, lease_until, worker, result, error, enqueued_at, changed_at)
    VALUES ('studies', :key, 'study', :payload, 7, :state, 3, 1, 4,
    12.5, :lease_until, 'host/1/abc', :result, :error, 1000.5, 2000.5)"""


def connect(url: str) -> sa.Engine:
    """A ledger's database as it is, without looking at its version."""
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def make_old_ledger(url: str) -> None:
    engine = connect(url)
    with engine.begin() as connection:
        for statement in _TABLES:
            connection.exec_driver_sql(statement.format(**_TYPES[engine.dialect.name]))
        for state in STATES:
            values = {
                "key": f"the {state} one",
                "payload": json.dumps({"path": "ä", "of": state}),
                "state": state,
                "lease_until": 4e9 if state == "running" else None,
                "result": json.dumps({"ml": 3.5}) if state == "done" else None,
                "error": "expected a scan, found none." if state in ("failed", "dead") else None,
            }
            connection.execute(sa.text(_JOB), values)
    engine.dispose()


def version_of(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT version FROM scnas_ledger").scalar_one()


def open_and_close(url: str) -> None:
    open_database(url).dispose()
