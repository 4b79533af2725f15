"""The CPU image, built from the Dockerfile by a container engine, and run as it is deployed."""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scnas_deploy.inference.models import user_models
from tests.deploy.container import Engine
from tests.deploy.tools import DEPLOY, ROOT, missing

pytestmark = pytest.mark.soak

BASE, IMAGE = "docker.io/library/python:3.11-slim-bookworm", "localhost/scnas-deploy:test"
USER = 10001
TOKEN = "a token of this test"
_PATIENCE_S = 120


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if os.geteuid() != 0:
        missing("a container engine for this user")
    with Engine(tmp_path_factory.mktemp("engine")) as started:
        started.make_base(BASE)
        build = ("build", "--isolation=chroot", "--pull-never", "--format=docker", "--layers=false")
        started.call(*build, "--target=cpu", f"--tag={IMAGE}", str(ROOT))
        yield started


@pytest.fixture(scope="module")
def server(engine: Engine, tmp_path_factory: pytest.TempPathFactory, scnas_data: Path) -> str:
    """A server on the settings of the compose file, with a study beside it."""
    folder = tmp_path_factory.mktemp("mounted")
    places = {name: folder / name for name in ("settings", "secrets", "spool", "models", "audit", "study")}
    for place in places.values():
        place.mkdir()
        shutil.chown(place, USER, USER)
    shutil.copy(DEPLOY / "settings" / "serve.toml", places["settings"])
    (places["secrets"] / "tokens").write_text(f"workstation {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    images = scnas_data / "Task04_Hippocampus" / "imagesTr"
    shutil.copy(min(images.glob("hippocampus_*.nii.gz")), places["study"] / "study.nii.gz")
    (places["study"] / "token").write_text(TOKEN)
    written = [f"--volume={places[name]}:/var/lib/scnas/{name}" for name in ("spool", "models", "audit")]
    read = [
        f"--volume={places['settings']}:/etc/scnas:ro",
        f"--volume={places['secrets']}:/run/secrets:ro",
        f"--volume={places['study']}:/in:ro",
    ]
    engine.start(IMAGE, "server", *written, *read)
    return "server"


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _configuration(engine: Engine) -> dict:
    return json.loads(engine.call("image", "inspect", IMAGE))[0]


def _answers(engine: Engine, server: str, page: str) -> bool:
    """Whether the health check, asked for a page, is content."""
    check = [word.replace("/livez", page) for word in _configuration(engine)["Healthcheck"]["Test"][1:]]
    return engine.succeeds("exec", server, *check)


def test_the_image_is_small_and_holds_no_pytorch_and_no_compiler(engine, capsys):
    bytes_ = _configuration(engine)["Size"]
    with capsys.disabled():
        sys.stdout.write(f"\nCPU image, its base of Debian's packages included: {bytes_ / 1e6:.0f} MB\n")
    assert bytes_ < 1_500_000_000
    looks = "import importlib.util as u, shutil as s; print([u.find_spec(m) is None for m in {}], s.which('gcc'))"
    modules = ("torch", "monai", "numba", "pytest")
    said = engine.run(IMAGE, "-c", looks.format(modules), options=("--entrypoint=python",))
    assert said.strip() == f"{[True] * len(modules)} None"


def test_the_image_says_as_whom_and_how_it_runs(engine):
    told = _configuration(engine)["Config"]
    assert told["User"] == f"{USER}:{USER}"
    assert told["Entrypoint"] == ["scnas"]
    assert told["Cmd"] == ["serve", "/etc/scnas/serve.toml"]
    assert told["StopSignal"] in ("SIGTERM", "15")
    assert set(told["ExposedPorts"]) == {"50051/tcp", "11112/tcp", "8080/tcp"}


def test_the_server_answers_and_segments(engine, server):
    _wait(lambda: _answers(engine, server, "/livez"))
    _wait(lambda: _answers(engine, server, "/readyz"))
    remote = ("scnas", "remote", "--server=127.0.0.1:50051", "--token-file=/in/token")
    said = engine.call("exec", server, *remote, "submit", "/in/study.nii.gz", "--output=/tmp/result", "--json")
    assert "ml" in said
    assert "labels.nii.gz" in engine.call("exec", server, "ls", "/tmp/result")
    counted = json.loads(engine.call("exec", server, "scnas", "jobs", "counts", "--json"))
    assert counted["segment"]["done"] == 1


def test_a_model_is_installed_through_a_pipe(engine, server):
    package = user_models().packages()["hippocampus"].read_bytes()
    install = "cat > /tmp/model.scnas && scnas models install /tmp/model.scnas"
    said = engine.call("exec", "--interactive", server, "sh", "-c", install, stdin=package)
    assert "/var/lib/scnas/models/hippocampus.scnas" in said


def test_asked_to_stop_it_ends_in_order(engine, server):
    engine.call("stop", "--time=60", server)
    state = json.loads(engine.call("container", "inspect", server))[0]["State"]
    assert state["ExitCode"] == 0
    events = [json.loads(line) for line in engine.call("logs", server).splitlines()]
    assert events[-1]["message"] == "stopped"
