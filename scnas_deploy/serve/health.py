"""Whether the server can take work, and what keeps it from that."""

import threading
from collections.abc import Callable

from scnas_deploy.errors import LedgerError, ScnasError
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.catalog import ModelCatalog
from scnas_deploy.serve.logs import in_words
from scnas_deploy.serve.model_pool import ModelPool
from scnas_deploy.serve.rulebook import RuleBook
from scnas_deploy.serve.space import Space
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.work import SEGMENT


class Health:
    """Knows what is the matter; may be asked by several threads.

    Args:
        tell: Told whether the server is ready, whenever that has been looked at.
    """

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell, self._lock = tell, threading.Lock()
        self._troubles: dict[str, str] = {"models": "not looked at yet"}
        self._engines: dict[str, str] = {}

    def troubles(self) -> dict[str, str]:
        """Return them; empty where the server is ready."""
        with self._lock:
            return dict(self._troubles)

    def is_ready(self) -> bool:
        """Whether there are none."""
        return not self.troubles()

    def set(self, what: str, trouble: str) -> None:
        """Note a trouble, or with an empty one that there is none."""
        with self._lock:
            self._troubles.pop(what, None)
            if trouble:
                self._troubles[what] = trouble
        self._tell(self.is_ready())

    def set_engine(self, digest: str, trouble: str) -> None:
        """Note why a model's engine cannot be opened, or with an empty text that it was.

        One model that cannot be run keeps the others from nothing: a server is in trouble where none opens.
        """
        with self._lock:
            self._engines[digest] = trouble
            said = "" if "" in self._engines.values() else trouble
        self.set("engine", said)

    def check_engines(self, pool: ModelPool) -> None:
        """Try again those that could not be opened."""
        with self._lock:
            broken = [digest for digest, trouble in self._engines.items() if trouble]
        for digest in broken:
            try:
                pool.get(digest)
            except ScnasError as error:
                self.set_engine(digest, error.redacted)
            else:
                self.set_engine(digest, "")

    def check_ledger(self, ledger: Ledger) -> None:
        """Ask the ledger for something small."""
        try:
            ledger.counts(SEGMENT)
        except LedgerError as error:
            self.set("ledger", error.redacted)
        else:
            self.set("ledger", "")

    def check_disk(self, spool: Spool, space: Space) -> None:
        """Look at the space left."""
        try:
            spool.require_there()
            space.require()
        except ScnasError as error:
            self.set("disk", error.redacted)
        except OSError as error:
            self.set("disk", in_words(error))
        else:
            self.set("disk", "")

    def check_models(self, catalog: ModelCatalog, pool: ModelPool, rulebook: RuleBook) -> None:
        """Have the models that rules name answer their canaries, until they have once.

        Without rules these are the default one or, where there is none, all.
        """
        if "models" not in self.troubles():
            return
        try:
            for name in dict.fromkeys(rule.model for rule in rulebook.rules()) or catalog.names():
                digest = catalog.pin(name).digest
                pool.get(digest)
                self.set_engine(digest, "")
        except ScnasError as error:
            self.set("models", error.redacted)
        else:
            self.set("models", "")
