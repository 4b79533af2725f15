"""A gRPC server on a free port of 127.0.0.1, over a real ledger, spool and model, and clients of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.names import new_name
from scnas_deploy.jobs.worker import Attempt, Halt, Worker, WorkerSettings
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.catalog import ModelCatalog
from scnas_deploy.serve.rpc.client import Client
from scnas_deploy.serve.rpc.server import RpcServer
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.settings import GrpcSettings
from scnas_deploy.serve.space import Space
from scnas_deploy.serve.spool import UPLOADS, Spool
from scnas_deploy.serve.work import SEGMENT, ResultFile, StudyAnswer, StudyProgress, StudyWork
from tests.serve.rpc.certificates import Authority, make_authority

TOKEN = "correct horse"
OTHER_TOKEN = "battery staple"


@dataclass
class Place:
    """A server and what it stands on."""

    spool: Spool
    ledger: Ledger
    catalog: ModelCatalog
    running: Running = field(default_factory=Running)
    exit: ExitStack = field(default_factory=ExitStack)
    min_free_bytes: int = 1
    server: RpcServer | None = None

    def serve(self, **settings: object) -> RpcServer:
        chosen = {"host": "127.0.0.1", "port": 0, "insecure": True, **settings}
        made = RpcServer(GrpcSettings(**chosen), *self.parts, max_attempts=3)
        made.start()
        made.set_ready(True)
        self.exit.callback(made.stop, 0.0)
        self.server = made
        return made

    @property
    def parts(self) -> tuple:
        """What a server is made of, beside its settings."""
        space = Space(self.spool, self.min_free_bytes)
        return space, self.spool, self.ledger, self.catalog, self.running

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def client(self, **shown: object) -> Client:
        return self.exit.enter_context(Client(self.target, **shown))

    def work(self, handler: Callable[[Attempt], object]) -> None:
        """Have a worker run the jobs until the test is over."""
        stop = threading.Event()
        settings = WorkerSettings(queue=SEGMENT, name=new_name(), poll_s=0.02, first_wait_s=0.02, stay=True)
        thread = threading.Thread(target=Worker(self.ledger, handler, settings, stop).run, daemon=True)
        thread.start()
        self.exit.callback(thread.join, 10)
        self.exit.callback(stop.set)

    def uploads(self) -> list[Path]:
        """All that lies among the uploads, finished or not."""
        return list((self.spool.root / UPLOADS).rglob("*"))

    def jobs(self) -> list:
        return self.ledger.listed(queues=[SEGMENT])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


@pytest.fixture
def place(spool: Spool, ledger: Ledger, catalog: ModelCatalog) -> Iterator[Place]:
    made = Place(spool, ledger, catalog)
    with made.exit:
        yield made


@pytest.fixture
def client(place: Place) -> Client:
    """Of a server that asks nobody who they are."""
    place.serve()
    return place.client()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls") / "hospital")


@pytest.fixture(scope="session")
def foreign_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls") / "somebody")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# who may\n\nworkstation {sha256_of(TOKEN.encode())}\n")
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A file of three chunks that is called NIfTI; what is in it is the worker's concern."""
    path = tmp_path / "DOE^JANE 1955.nii"
    path.write_bytes(np.random.default_rng(0).bytes(2**21 + 17))
    return path


@dataclass
class SmallHandler:
    """Answers with the files it was given, in as many patches as it is told."""

    spool: Spool
    running: Running
    num_patches: int = 1
    wait_s: float = 0.0
    in_process: bool = True
    """Whether this process is told how far it is, or the ledger alone."""
    begun: threading.Event = field(default_factory=threading.Event)
    patches: int = 0

    def __call__(self, attempt: Attempt) -> dict:
        work = StudyWork.model_validate(attempt.job.payload)
        with self.running.run(attempt.job.id if self.in_process else -1) as job:
            for number in range(self.num_patches):
                attempt.check()
                if job.halted.is_set():
                    raise Halt
                job.progress = StudyProgress(stage="segmenting", fraction=number / self.num_patches, patches_per_s=7.0)
                if not self.in_process:
                    attempt.record(job.progress.model_dump(mode="json"))
                self.patches += 1
                self.begun.set()
                job.halted.wait(self.wait_s)
        return self._answer(attempt, work).model_dump(mode="json", by_alias=True)

    def _answer(self, attempt: Attempt, work: StudyWork) -> StudyAnswer:
        folder = self.spool.result(str(attempt.job.id))
        folder.mkdir(exist_ok=True)
        files = []
        for name in work.files:
            content = self.spool.path(f"{work.folder}/{name}").read_bytes()
            (folder / name).write_bytes(content)
            files.append(ResultFile(name=name, format=Format.NIFTI, bytes=len(content), sha256=sha256_of(content)))
        return StudyAnswer(
            folder=self.spool.relative(folder),
            files=tuple(files),
            volumes_ml={"front": 1.5},
            model=work.model,
            model_digest=work.model_digest,
            engine="none",
            notes=("a note",),
            seconds=2.0,
            engine_seconds=1.0,
        )


@pytest.fixture
def handler(place: Place) -> SmallHandler:
    return SmallHandler(place.spool, place.running)
