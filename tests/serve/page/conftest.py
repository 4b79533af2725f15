"""A page on a spool and a ledger of the test's own, in this process."""

import base64
import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

import pytest

from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.job import NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.admission import Admission
from scnas_deploy.serve.page.routes import Routes
from scnas_deploy.serve.page.server import PageServer
from scnas_deploy.serve.page.sights import Sights
from scnas_deploy.serve.rulebook import RuleBook
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.settings import DicomDestination, PageSettings, Rule, ServeSettings, StowDestination
from scnas_deploy.serve.work import (
    DELIVER,
    PRIORITIES,
    SEGMENT,
    DeliveryWork,
    ResultFile,
    StudyAnswer,
    StudyProgress,
    StudyWork,
    delivery_key,
)
from tests.serve.conftest import MODEL

TOKEN, OTHER_TOKEN = "a token of the tests", "another one"
FILES = (
    ResultFile(
        name="seg.dcm", format=Format.SEG, bytes=123_456, sha256="ab" * 32, sop_class="1.2", sop_instance="1.2.77"
    ),
    ResultFile(name="sr.dcm", format=Format.SR, bytes=2345, sha256="cd" * 32, sop_class="1.3", sop_instance="1.2.78"),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """With the present time, as the page has it."""
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"radiologist {sha256_of(TOKEN.encode())}\nother {sha256_of(OTHER_TOKEN.encode())}\n")
    return path


@dataclass
class Place:
    """A page, and what it looks at."""

    ledger: Ledger
    sights: Sights
    settings: ServeSettings
    running: Running
    troubles: dict[str, str]
    servers: list[PageServer] = field(default_factory=list)

    def serve(self, **changes: object) -> str:
        """Start the page, changed as the test says; its address."""
        told = PageSettings(**{"host": "127.0.0.1", "port": 0, "insecure": "tokens" not in changes, **changes})
        settings = self.settings.model_copy(update={"page": told})
        sights = Sights(**{name: getattr(self.sights, name) for name in Sights.__slots__} | {"settings": settings})
        self.servers.append(PageServer(told, Routes(sights)))
        self.servers[-1].start()
        return f"http{'s' if told.tls else ''}://127.0.0.1:{self.servers[-1].port}"


@pytest.fixture
def place(ledger, spool, catalog) -> Iterator[Place]:
    destinations = (
        DicomDestination(kind="dicom", name="pacs", host="127.0.0.1", port=1, ae_title="PACS"),
        DicomDestination(kind="dicom", name="archive", host="127.0.0.1", port=1, ae_title="ARCHIVE"),
        StowDestination(kind="stow", name="research", url="http://127.0.0.1:1"),
    )
    rules = (Rule(name="head", model=MODEL, destinations=("pacs", "research")),)
    settings = ServeSettings(spool=spool.root, rules=rules, destinations=destinations)
    running, troubles = Running(), {}
    sights = Sights(
        settings=settings,
        ledger=lambda: ledger,
        spool=spool,
        catalog=catalog,
        rulebook=RuleBook(None, settings),
        running=running,
        admission=Admission(4_000_000_000),
        troubles=lambda: troubles,
        busy_seconds=lambda: 12.0,
    )
    made = Place(ledger, sights, settings, running, troubles)
    yield made
    for server in made.servers:
        server.stop()


def new_study(key: str, priority: str = "clinical", **changes: object) -> NewJob:
    told = {"source": "dicom", "submitted_by": "CT_SCANNER_2", "rule": "head", "formats": (Format.SEG, Format.SR)}
    work = StudyWork(
        **{
            **told,
            "folder": f"incoming/{sha256_of(key.encode())}",
            "files": ("a.b.dcm", "c.d.dcm"),
            "model": MODEL,
            "model_digest": "0123456789abcdef" * 4,
            "destinations": ("pacs", "research"),
            **changes,
        }
    )
    payload = work.model_dump(mode="json", by_alias=True)
    return NewJob(key=key, kind=SEGMENT, payload=payload, priority=PRIORITIES[priority], max_attempts=5)


def new_answer(**changes: object) -> dict:
    answer = {
        "folder": "results/1-1",
        "files": FILES,
        "volumes_ml": {"Anterior": 1.8124, "Posterior": 1.5},
        "model": MODEL,
        "model_digest": "0123456789abcdef" * 4,
        "engine": "openvino cpu float32",
        "seconds": 14.2,
        "engine_seconds": 9.6,
    }
    return StudyAnswer(**{**answer, **changes}).model_dump(mode="json", by_alias=True)


def deliveries(lease, *names: str) -> dict[str, list[NewJob]]:
    return {
        DELIVER: [
            NewJob(
                key=delivery_key(lease.job.key, lease.job.attempt, name),
                kind=DELIVER,
                payload=DeliveryWork(
                    destination=name, study_job=lease.job.id, folder="results/1-1", files=FILES
                ).model_dump(mode="json", by_alias=True),
                max_attempts=1_000_000,
            )
            for name in names
        ]
    }


def claim(ledger: Ledger, queue: str = SEGMENT):
    return ledger.claim("gpu-server-1/4711/abcdef", queue=queue, lease_s=600.0)


@pytest.fixture
def busy(place: Place) -> Place:
    """A server in the middle of a day: studies done, failed, given up, under way and waiting; a PACS that is away."""
    ledger = place.ledger
    for number in range(12):
        ledger.enqueue(SEGMENT, [new_study(f"done {number}", "clinical" if number % 3 else "archive")])
        lease = claim(ledger)
        ledger.done(
            lease,
            new_answer(corrections=("resample-gaps",) if number == 11 else ()),
            deliveries(lease, "pacs", "research"),
        )
    _shift(ledger)
    for _ in range(9):
        lease = claim(ledger, DELIVER)
        if lease.job.payload["destination"] == "research":
            ledger.done(lease, {"accepted": ["seg.dcm", "sr.dcm"], "not_negotiated": []})
        else:
            said = "expected a side that answers, found that it does not (connection refused). It is tried again later."
            ledger.fail(lease, said, retry_in_s=600.0)
    ledger.enqueue(SEGMENT, [new_study("wrong"), new_study("deadly")])
    series = (
        "expected one series for channel 'T1w', found 2 that fit. Name one of them, or make the model's rules narrower."
    )
    ledger.fail(claim(ledger), series, retry_in_s=None)
    lease = claim(ledger)
    for _ in range(4):
        ledger.fail(lease, "the engine failed", retry_in_s=-1.0)
        lease = claim(ledger)
    ledger.fail(
        lease, "expected a worker that answers, found that it has ended 5 times. Give it more memory.", retry_in_s=-1.0
    )
    ledger.enqueue(SEGMENT, [new_study("one"), new_study("two"), new_study("three", "archive")])
    here, there = claim(ledger), claim(ledger)
    ledger.record(there, StudyProgress(stage="writing", fraction=1.0).model_dump(mode="json"))
    place.stop = place.running.run(here.job.id)
    job = place.stop.__enter__()
    job.progress = StudyProgress(stage="segmenting", fraction=0.42, patches_per_s=17.3)
    ledger.enqueue(
        SEGMENT, [new_study(f"queued {n}", "archive", source="grpc", submitted_by="workstation") for n in range(40)]
    )
    yield place
    place.stop.__exit__(None, None, None)


def _shift(ledger: Ledger) -> None:
    """Spread what is done over the last day."""
    with ledger.transaction() as (connection, now):
        for number in range(12):
            connection.exec_driver_sql(
                "UPDATE scnas_jobs SET changed_at = ?, enqueued_at = ? WHERE key = ?",
                (now - 1700.0 * number**1.4, now - 1700.0 * number**1.4 - 400, f"done {number}"),
            )


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


Ask = Callable[..., tuple[int, Message, bytes]]


@pytest.fixture
def ask() -> Ask:
    def asked(url: str, path: str = "/", *, method: str = "GET", context=None, **headers: str):
        """Status, headers and content of an answer; header names with _ for -."""
        host = url.partition("://")[2]
        kind = http.client.HTTPConnection if context is None else http.client.HTTPSConnection
        connection = kind(host, timeout=60, **({"context": context} if context else {}))
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    return asked


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
