"""Parts of a server, on a spool and a ledger of the test's own."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scnas_deploy.inference.models import ModelFolder, user_models
from scnas_deploy.inference.trust import Trust
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.arrivals import Arrivals
from scnas_deploy.serve.catalog import ModelCatalog
from scnas_deploy.serve.inbox import Arrival, Inbox
from scnas_deploy.serve.metrics import Metrics
from scnas_deploy.serve.space import Space
from scnas_deploy.serve.spool import Spool
from tests.jobs.conftest import SetClock, ledger_url, postgres  # noqa: F401  # fixtures
from tests.serve.studies import crop_objects, encoded

MODEL = "hippocampus"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: SetClock) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db", clock=clock) as opened:
        yield opened


@pytest.fixture
def models(tmp_path: Path) -> ModelFolder:
    """A folder with the shipped model installed in it."""
    folder = ModelFolder(tmp_path / "models")
    folder.install(user_models().packages()[MODEL], MODEL)
    return folder


@pytest.fixture
def catalog(models: ModelFolder, spool: Spool) -> ModelCatalog:
    return ModelCatalog(models, spool, Trust())


@dataclass
class Sending:
    """Puts studies into an inbox."""

    inbox: Inbox
    data: Path

    def send(self, number: int = 0, *, to: str = "SCNAS", first: int = 0, last: int | None = None) -> int:
        """Send some objects of a study; returns how many."""
        objects = list(crop_objects(self.data, number))[first:last]
        for dataset in objects:
            self.inbox.receive(
                Arrival(
                    content=encoded(dataset),
                    study_uid=dataset.StudyInstanceUID,
                    sop_instance_uid=dataset.SOPInstanceUID,
                    called_ae_title=to,
                    calling_ae_title="PACS",
                )
            )
        return len(objects)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def inbox(spool: Spool, ledger: Ledger, metrics: Metrics) -> Inbox:
    return Inbox(spool, Arrivals(ledger), metrics, space=Space(spool, 1), patience_s=0.0, stop=threading.Event())


@pytest.fixture
def sending(inbox: Inbox, scnas_data: Path) -> Sending:
    return Sending(inbox, scnas_data)
