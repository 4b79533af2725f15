"""Whatever dies, nothing is lost: servers, the PACS, the database, the disk, Triton."""

import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scnas_deploy.errors import ScnasError
from scnas_deploy.inference.package import open_package
from scnas_deploy.inference.triton_config import Serving
from scnas_deploy.inference.triton_repository import write_repository
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.arrivals import study_key
from scnas_deploy.serve.rpc.client import Client, Wish
from scnas_deploy.serve.work import DELIVER, SEGMENT
from tests.jobs.conftest import empty_schema
from tests.serve.conftest import MODEL
from tests.serve.dicom.orthanc import AE_TITLE, Orthanc
from tests.serve.process import ServerProcess, wait_until
from tests.serve.sender import send_study, start_sending
from tests.serve.studies import crop_objects, encoded, write_large
from tests.triton.server import Installation, RunningTriton, require_installed

pytestmark = pytest.mark.soak

SETTINGS = """
spool = "{spool}"
ledger = "{ledger}"
models = "{models}"
[dicom]
host = "127.0.0.1"
port = {dicom}
peers = [{ ae_title = "SENDER", address = "127.0.0.1/32" }]
quiet_s = 1
ledger_patience_s = 2
[grpc]
host = "127.0.0.1"
port = {grpc}
insecure = true
[web]
host = "127.0.0.1"
port = {web}
[disk]
min_free_bytes = {free}
[work]
studies = 2
threads = 1
lease_s = 6
engine = "{engine}"
[[rules]]
name = "head"
model = "hippocampus"
destinations = ["pacs"]
[[destinations]]
name = "pacs"
kind = "dicom"
host = "127.0.0.1"
port = {pacs}
ae_title = "{title}"
"""
NUM_BY_DICOM, NUM_BY_GRPC, NUM_KILLS = 20, 20, 20
_SEED = 2019
_LONG_S = 600


@pytest.fixture
def pacs() -> Iterator[Orthanc]:
    orthanc = Orthanc({}).start()
    yield orthanc
    orthanc.remove()


@pytest.fixture
def settings(tmp_path, models, pacs):
    """The settings of a server on a ledger and a spool that others may share."""

    def make(ledger: str, *, spool: Path | None = None, free: int = 1_000_000, engine: str = "auto") -> str:
        values = {
            "spool": spool or tmp_path / "spool",
            "ledger": ledger,
            "models": models.path,
            "free": free,
            "engine": engine,
            "pacs": pacs.dicom_port,
            "title": AE_TITLE,
        }
        text = SETTINGS
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    return make


@pytest.fixture
def start(tmp_path, settings):
    """Starts servers, which are gone after the test."""
    started = []

    def start(ledger: str, **changes) -> ServerProcess:
        process = ServerProcess(tmp_path / f"server{len(started)}", settings(ledger, **changes))
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.end()


@pytest.fixture
def ledger_file(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


class Submissions:
    """Studies that are submitted by gRPC, each by a client that does not give up until it has its result."""

    def __init__(self, servers: list[ServerProcess], numbers: range, scnas_data: Path, folder: Path) -> None:
        self._servers, self._folder, self._data = servers, folder, scnas_data
        self.fetched: dict[int, int] = {}
        """Number of the study -> number of its job."""
        self._threads = [threading.Thread(target=self._insist, args=(number,), daemon=True) for number in numbers]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(_LONG_S)

    def _insist(self, number: int) -> None:
        study = self._folder / f"study{number}"
        study.mkdir(parents=True)
        for index, dataset in enumerate(crop_objects(self._data, number)):
            (study / f"{index}.dcm").write_bytes(encoded(dataset))
        deadline = time.monotonic() + _LONG_S
        while number not in self.fetched and time.monotonic() < deadline:
            server = random.Random(time.monotonic()).choice(self._servers)
            with suppress(ScnasError), Client(f"127.0.0.1:{server.grpc}") as client:
                job = client.submit([study], Wish(idempotency_key=f"study {number}")).job
                if [standing.state for standing in client.watch(job)][-1] == "done":
                    client.fetch(job, self._folder / f"result{number}")
                    self.fetched[number] = job
            time.sleep(0.2)


def send_by_dicom(servers: list[ServerProcess], numbers: range, scnas_data: Path) -> subprocess.Popen:
    """Send studies from a modality that repeats what is not taken."""
    return start_sending([server.dicom for server in servers], numbers, scnas_data, _LONG_S)


def unfinished(ledger_url: str) -> Counter:
    with Ledger(ledger_url) as ledger:
        jobs = ledger.listed(queues=[SEGMENT, DELIVER], limit=1000)
    return Counter(job.state.value for job in jobs if job.state in ("queued", "running", "dead"))


def segmentations(pacs: Orthanc) -> Counter:
    """Study -> how many segmentation objects of it the PACS holds."""
    counted = Counter()
    for study in pacs.get("/studies?expand"):
        series = [pacs.get(f"/series/{each}") for each in study["Series"]]
        counted[study["MainDicomTags"]["StudyInstanceUID"]] = sum(
            len(each["Instances"]) for each in series if each["MainDicomTags"]["Modality"] == "SEG"
        )
    return counted


def assert_all_delivered(pacs: Orthanc, ledger_url: str, numbers: range, scnas_data: Path) -> None:
    wanted = {next(crop_objects(scnas_data, number)).StudyInstanceUID for number in numbers}
    wait_until(lambda: set(segmentations(pacs)) >= wanted, "all studies have results", patience_s=_LONG_S)
    wait_until(lambda: not unfinished(ledger_url), "no job is left", patience_s=_LONG_S)


def folders(scnas_data: Path) -> list[str]:
    """Of the studies that are sent by DICOM, as their jobs name them."""
    uids = [next(crop_objects(scnas_data, number)).StudyInstanceUID for number in range(1, 1 + NUM_BY_DICOM)]
    return [f"incoming/{study_key(uid, 'SCNAS')}" for uid in uids]


def complete(ledger_url: str, scnas_data: Path) -> dict[str, int]:
    """Folder of a study sent by DICOM -> how many done jobs had all of its objects."""
    whole = len(list(crop_objects(scnas_data)))
    with Ledger(ledger_url) as ledger:
        jobs = ledger.listed(queues=[SEGMENT], states=[JobState.DONE], limit=1000)
    of_dicom = [job for job in jobs if job.payload["source"] == "dicom"]
    return Counter(job.payload["folder"] for job in of_dicom if len(job.payload["files"]) == whole)


def test_killed_twenty_times_forty_of_forty_are_delivered(start, pacs, ledger_file, scnas_data, tmp_path):
    server, chance = start(ledger_file), random.Random(_SEED)
    server.wait_ready()
    sending = send_by_dicom([server], range(1, 1 + NUM_BY_DICOM), scnas_data)
    submitted = range(101, 101 + NUM_BY_GRPC)
    submissions = Submissions([server], submitted, scnas_data, tmp_path / "clients")
    for _ in range(NUM_KILLS):
        time.sleep(chance.uniform(0.5, 6.0))
        server.kill()
        server.start()
    assert sending.wait(_LONG_S) == 0
    submissions.wait()
    assert set(submissions.fetched) == set(submitted)
    assert len(set(submissions.fetched.values())) == NUM_BY_GRPC
    assert_all_delivered(pacs, ledger_file, range(1, 1 + NUM_BY_DICOM), scnas_data)
    assert_once(pacs, ledger_file, scnas_data)


def assert_once(pacs, ledger_url, scnas_data):
    """Each complete study was one job and is one segmentation object; a part that was closed early is one more."""
    assert complete(ledger_url, scnas_data) == dict.fromkeys(folders(scnas_data), 1)
    with Ledger(ledger_url) as ledger:
        done = ledger.listed(queues=[SEGMENT], limit=1000)
    of_dicom = [job for job in done if job.payload["source"] == "dicom" and job.state == "done"]
    uids = {file["sop_instance"] for job in of_dicom for file in job.result["files"] if file["name"] == "seg.dcm"}
    assert sum(segmentations(pacs).values()) == len(uids) == len(of_dicom)


def test_of_two_servers_one_is_killed_for_good(start, pacs, postgres, scnas_data, tmp_path):
    url = empty_schema(postgres)
    lost, other = start(url), start(url)
    lost.wait_ready(), other.wait_ready()
    submissions = Submissions([lost, other], range(101, 101 + NUM_BY_GRPC), scnas_data, tmp_path / "clients")
    sending = send_by_dicom([other], range(1, 1 + NUM_BY_DICOM // 2), scnas_data)
    early = range(1 + NUM_BY_DICOM // 2, 1 + NUM_BY_DICOM)
    for number in early:
        send_study(lost.dicom, crop_objects(scnas_data, number), patience_s=_LONG_S)
    lost.kill()
    assert sending.wait(_LONG_S) == 0
    submissions.wait()
    assert len(submissions.fetched) == NUM_BY_GRPC
    assert_all_delivered(pacs, url, range(1, 1 + NUM_BY_DICOM), scnas_data)
    assert_once(pacs, url, scnas_data)


def test_a_server_that_sleeps_through_its_lease_changes_nothing(start, postgres, scnas_data, tmp_path):
    url = empty_schema(postgres)
    sleeper = start(url).wait_ready()
    study = write_large(tmp_path / "large.nii.gz", scnas_data, (6, 6, 6))
    with Client(f"127.0.0.1:{sleeper.grpc}") as client:
        number = client.submit([study], Wish(force=True)).job
        next(standing for standing in client.watch(number) if standing.stage == "segmenting")
    sleeper.process.send_signal(signal.SIGSTOP)
    other = start(url).wait_ready()
    with Client(f"127.0.0.1:{other.grpc}") as client:
        assert [standing.state for standing in client.watch(number)][-1] == "done"
    with Ledger(url) as ledger:
        done = ledger.find(number)
        sleeper.process.send_signal(signal.SIGCONT)
        wait_until(lambda: "a segmentation ended" in messages(sleeper), "the sleeper has ended its attempt")
        assert ledger.find(number) == done
    assert done.attempt == 2
    assert done.result["folder"] == f"results/{number}-2"
    assert sleeper.stop() == 0


def messages(server: ServerProcess) -> list[str]:
    return [event["message"] for event in server.events()]


def test_the_pacs_is_away_for_two_minutes(start, pacs, ledger_file, scnas_data):
    server = start(ledger_file).wait_ready()
    pacs.stop()
    for number in range(1, 4):
        send_study(server.dicom, crop_objects(scnas_data, number))
    away_until = time.monotonic() + 120
    wait_until(lambda: server.metrics()['scnas_jobs{queue="deliver",state="queued"}'] >= 1, "a delivery waits")
    assert server.status("/readyz") == 200
    time.sleep(max(0.0, away_until - time.monotonic()))
    pacs.start()
    assert_all_delivered(pacs, ledger_file, range(1, 4), scnas_data)


def test_the_database_is_away_for_a_minute(start, pacs, postgres, scnas_data):
    url = empty_schema(postgres)
    server = start(url).wait_ready()
    send_study(server.dicom, crop_objects(scnas_data, 1))
    postgres.stop()
    away_until = time.monotonic() + 60
    sending = send_by_dicom([server], range(2, 4), scnas_data)
    wait_until(lambda: server.status("/readyz") == 503, "it says that it is not ready")
    assert server.status("/livez") == 200
    assert server.metrics()["scnas_ledger_up"] == 0
    time.sleep(max(0.0, away_until - time.monotonic()))
    postgres.start()
    assert sending.wait(_LONG_S) == 0
    assert_all_delivered(pacs, url, range(1, 4), scnas_data)
    wait_until(lambda: server.status("/readyz") == 200, "it is ready again")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 60 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_disk_is_full_for_a_while(start, pacs, small_disk, scnas_data):
    url = f"sqlite:///{small_disk}/ledger.db"
    server = start(url, spool=small_disk / "spool", free=20_000_000).wait_ready()
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(shutil.disk_usage(small_disk).free - 5_000_000))
    sending = send_by_dicom([server], range(1, 4), scnas_data)
    wait_until(lambda: server.status("/readyz") == 503, "it says that it is not ready")
    time.sleep(5)
    assert sending.poll() is None
    assert server.metrics()["scnas_objects_received_total"] == 0
    filler.unlink()
    assert sending.wait(_LONG_S) == 0
    assert_all_delivered(pacs, url, range(1, 4), scnas_data)


@pytest.fixture
def triton(tmp_path, models) -> Iterator[RunningTriton]:
    """A real tritonserver with the shipped network."""
    require_installed()
    repository = tmp_path / "repository"
    write_repository(repository, open_package(models.packages()[MODEL]), Serving(max_batch_size=8))
    server = RunningTriton(Installation(tmp_path / "tritonserver"), repository, tmp_path / "tritonserver.log")
    yield server
    server.kill()


def test_triton_is_killed_and_comes_back(start, pacs, triton, ledger_file, scnas_data):
    server = start(ledger_file, engine=triton.url(MODEL)).wait_ready()
    send_study(server.dicom, crop_objects(scnas_data, 1))
    assert_all_delivered(pacs, ledger_file, range(1, 2), scnas_data)
    triton.kill()
    for number in range(2, 5):
        send_study(server.dicom, crop_objects(scnas_data, number))
    wait_until(lambda: server.status("/readyz") == 503, "it says that it is not ready")
    time.sleep(60)
    triton.start()
    assert_all_delivered(pacs, ledger_file, range(1, 5), scnas_data)
    with Ledger(ledger_file) as ledger:
        engines = {job.result["engine"] for job in ledger.listed(queues=[SEGMENT])}
    assert all(engine.startswith("triton") for engine in engines)
