"""What the page looks at: the parts of a running server, none of which it changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.admission import Admission
from scnas_deploy.serve.catalog import ModelCatalog
from scnas_deploy.serve.rulebook import RuleBook
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.settings import ServeSettings
from scnas_deploy.serve.spool import Spool


@dataclass(frozen=True, kw_only=True, slots=True)
class Sights:
    """All of it."""

    settings: ServeSettings
    ledger: Callable[[], Ledger | None]
    """Of all servers; None before it was opened."""
    spool: Spool
    catalog: ModelCatalog
    rulebook: RuleBook
    running: Running
    """The jobs of this process."""
    admission: Admission
    """Studies under way share memory, and one that is looked at takes some of it too."""
    troubles: Callable[[], Mapping[str, str]]
    """What keeps this server from taking work."""
    busy_seconds: Callable[[], float]
    """In which an engine of this server has computed."""

    @property
    def shows_uids(self) -> bool:
        """Whether UIDs are shown."""
        return self.settings.page is not None and self.settings.page.show_uids
