"""What the settings name, found: the ledger, the models, and whose signatures count."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from scnas_deploy.errors import LedgerError
from scnas_deploy.inference.models import ModelFolder, user_models
from scnas_deploy.inference.trust import Trust, user_trust
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import sqlite_url
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.settings import ServeSettings

_LEDGER_FILE: Final = "ledger.db"
_LOG: Final = logger("serve")
_LOOK_S: Final = 1.0


def ledger_url(settings: ServeSettings) -> str:
    """Return the URL of a server's ledger."""
    return settings.ledger or sqlite_url(settings.spool / _LEDGER_FILE)


def opened_ledger(settings: ServeSettings, stop: threading.Event, tell: Callable[[str], None]) -> Ledger:
    """Open a server's ledger, waiting for it if need be.

    Args:
        settings: Name it.
        stop: Set when nobody waits any more.
        tell: Told why it does not answer, and an empty text when it does.

    Raises:
        LedgerError: If it does not answer before nobody waits any more.
    """
    waits = False
    while True:
        try:
            ledger = Ledger(ledger_url(settings))
        except LedgerError as error:
            if not waits:
                event(_LOG, logging.WARNING, "the ledger does not answer; waiting for it", error=error.redacted)
            waits = True
            tell(error.redacted)
            if stop.wait(_LOOK_S):
                raise
        else:
            tell("")
            return ledger


def trust_of(settings: ServeSettings) -> Trust:
    """Whose models are run."""
    if settings.trust.keys is None:
        return user_trust(required=settings.trust.required)
    return Trust(folder=settings.trust.keys, required=settings.trust.required)


def models_of(settings: ServeSettings) -> ModelFolder:
    """Where models are installed."""
    return user_models() if settings.models is None else ModelFolder(settings.models)
