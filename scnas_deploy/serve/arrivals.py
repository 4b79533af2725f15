"""Studies that arrive object by object: when the last one came, and what became of the whole.

A study's version grows with each object. It is closed when none has come for a while: what is there then becomes jobs,
and the version that was looked at is noted. An object that comes later opens it again, and leads to jobs of their own.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import ARRIVALS


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrivedStudy:
    """A study as it was sent to one of our AE titles."""

    key: str
    """Names it, and its folder in the spool."""
    study_uid: str
    called_ae_title: str
    calling_ae_title: str
    """Of whoever sent the latest object."""
    num_objects: int
    """When it was last closed."""
    version: int
    closed_version: int
    first_at: float
    """Seconds since 1970, as the next one."""
    last_at: float
    outcome: str
    """What became of it when it was last closed, or why it waits."""


_COLUMNS: Final = [ARRIVALS.c[field.name] for field in fields(ArrivedStudy)]
_OPEN: Final = ARRIVALS.c.version > ARRIVALS.c.closed_version


def study_key(study_uid: str, called_ae_title: str) -> str:
    """Return the key of a study that was sent to an AE title."""
    return sha256_of(f"{called_ae_title}\n{study_uid}".encode())


class Arrivals:
    """The arrived studies of a ledger.

    Args:
        ledger: Holds them beside its jobs. Every method raises LedgerError where it cannot be reached.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def touch(self, study_uid: str, called_ae_title: str, calling_ae_title: str) -> bool:
        """Note that an object of a study lies in the spool; whether it is the study's first one."""
        key = study_key(study_uid, called_ae_title)
        with self._ledger.transaction() as (connection, now):
            insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(ARRIVALS)
            first = {"first_at": now, "num_objects": 0, "version": 1, "closed_version": 0, "outcome": ""}
            names = {"key": key, "study_uid": study_uid, "called_ae_title": called_ae_title}
            latest = {"last_at": now, "calling_ae_title": calling_ae_title}
            again = {**latest, "version": ARRIVALS.c.version + 1}
            upsert = insert.values(**first, **names, **latest).on_conflict_do_update(index_elements=["key"], set_=again)
            return bool(connection.scalar(upsert.returning(ARRIVALS.c.version)) == 1)

    def find(self, key: str) -> ArrivedStudy | None:
        """Return a study, or None."""
        with self._ledger.reading() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(ARRIVALS.c.key == key)).first()
        return None if row is None else ArrivedStudy(**row._mapping)

    def quiet(self, quiet_s: float) -> list[ArrivedStudy]:
        """Return the open studies of which no object has come for so many seconds, the longest waiting first."""
        with self._ledger.transaction() as (connection, now):
            found = sa.select(*_COLUMNS).where(_OPEN, ARRIVALS.c.last_at <= now - quiet_s)
            rows = connection.execute(found.order_by(ARRIVALS.c.last_at)).all()
        return [ArrivedStudy(**row._mapping) for row in rows]

    def close(self, study: ArrivedStudy, *, num_objects: int, outcome: str) -> None:
        """Note what became of the version of a study that was looked at; what came meanwhile leaves it open."""
        with self._ledger.transaction() as (connection, _):
            closed = sa.update(ARRIVALS).where(ARRIVALS.c.key == study.key, ARRIVALS.c.closed_version < study.version)
            values = {"closed_version": study.version, "num_objects": num_objects, "outcome": outcome}
            connection.execute(closed.values(**values))

    def keep_waiting(self, study: ArrivedStudy, why: str) -> None:
        """Note why a quiet study cannot become jobs yet."""
        with self._ledger.transaction() as (connection, _):
            connection.execute(sa.update(ARRIVALS).where(ARRIVALS.c.key == study.key).values(outcome=why))

    def reopen(self, study: ArrivedStudy) -> None:
        """Have a closed study looked at again, as where an object was stored and its sender never answered."""
        with self._ledger.transaction() as (connection, now):
            its = sa.and_(ARRIVALS.c.key == study.key, ARRIVALS.c.version == study.version)
            connection.execute(sa.update(ARRIVALS).where(its).values(version=study.version + 1, last_at=now))

    def latest(self, limit: int) -> list[ArrivedStudy]:
        """Return so many studies at most, the one of the latest object first."""
        with self._ledger.reading() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).order_by(ARRIVALS.c.last_at.desc()).limit(limit)).all()
        return [ArrivedStudy(**row._mapping) for row in rows]

    def closed(self, *, before: float) -> Iterator[ArrivedStudy]:
        """Return the closed studies whose last object came before a time, seconds since 1970."""
        with self._ledger.reading() as connection:
            found = sa.select(*_COLUMNS).where(sa.not_(_OPEN), ARRIVALS.c.last_at < before)
            rows = connection.execute(found.order_by(ARRIVALS.c.last_at)).all()
        return (ArrivedStudy(**row._mapping) for row in rows)

    def forget(self, study: ArrivedStudy, meanwhile: Callable[[], object]) -> bool:
        """Remove a closed study to which nothing has come since it was looked at; whether that was done.

        Args:
            study: As it was looked at.
            meanwhile: What is done before anybody can begin the study anew.
        """
        its = sa.and_(ARRIVALS.c.key == study.key, ARRIVALS.c.version == study.version, sa.not_(_OPEN))
        with self._ledger.transaction() as (connection, _):
            is_forgotten = bool(connection.execute(sa.delete(ARRIVALS).where(its)).rowcount)
            if is_forgotten:
                meanwhile()
            return is_forgotten

    def known(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys that are of studies."""
        with self._ledger.reading() as connection:
            return {key for key in connection.scalars(sa.select(ARRIVALS.c.key)) if key in keys}
