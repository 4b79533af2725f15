"""What the settings name, found: the ledger, the models, and whose signatures count."""

from typing import Final

from scnas_deploy.inference.models import ModelFolder, user_models
from scnas_deploy.inference.trust import Trust, user_trust
from scnas_deploy.jobs.schema import sqlite_url
from scnas_deploy.serve.settings import ServeSettings

_LEDGER_FILE: Final = "ledger.db"


def ledger_url(settings: ServeSettings) -> str:
    """Return the URL of a server's ledger."""
    return settings.ledger or sqlite_url(settings.spool / _LEDGER_FILE)


def trust_of(settings: ServeSettings) -> Trust:
    """Whose models are run."""
    if settings.trust.keys is None:
        return user_trust(required=settings.trust.required)
    return Trust(folder=settings.trust.keys, required=settings.trust.required)


def models_of(settings: ServeSettings) -> ModelFolder:
    """Where models are installed."""
    return user_models() if settings.models is None else ModelFolder(settings.models)
