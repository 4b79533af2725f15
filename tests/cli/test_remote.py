"""scnas remote, against a real server in this process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.work import StudyWork
from tests.in_process import scnas_here
from tests.serve.conftest import MODEL, catalog, models, spool  # noqa: F401  # fixtures
from tests.serve.rpc.certificates import make_authority
from tests.serve.rpc.conftest import TOKEN, Place, SmallHandler, authority, tokens  # noqa: F401  # fixtures


@pytest.fixture
def place(tmp_path, spool, catalog) -> Iterator[Place]:  # noqa: F811
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = Place(spool, ledger, catalog)
        with made.exit:
            yield made


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "image.nii.gz"
    path.write_bytes(b"an image")
    return path


@pytest.fixture
def remote(place, tmp_path):
    """Calls scnas remote; the server comes from the environment."""
    place.serve()

    def call(*arguments, status=0):
        result = scnas_here(tmp_path, "remote", *arguments, environment={"SCNAS_SERVER": place.target})
        assert result.returncode == status, result.stderr
        return result

    return call


def working(place):
    place.work(SmallHandler(place.spool, place.running))


def test_submit_waits_and_brings_the_result(remote, place, image, tmp_path):
    working(place)
    result = remote("submit", image, "--wait", "-o", "results")
    assert (tmp_path / "results" / "0000.nii.gz").read_bytes() == image.read_bytes()
    assert "front" in result.stdout
    assert "1.500" in result.stdout
    assert "For research use only" in result.stdout
    assert "note: a note" in result.stderr


def test_each_step_by_itself_and_as_json(remote, place, image, tmp_path):
    job = json.loads(remote("submit", image, "--json").stdout)["job"]
    assert [each["state"] for each in json.loads(remote("jobs", "--json").stdout)] == ["queued"]
    working(place)
    assert json.loads(remote("watch", job, "--json").stdout)["state"] == "done"
    fetched = json.loads(remote("fetch", job, "-o", "results", "--json").stdout)
    assert fetched["files"] == [{"format": "nifti", "path": "results/0000.nii.gz"}]
    assert fetched["volumes_ml"] == {"front": 1.5}
    assert json.loads(remote("cancel", job, "--json").stdout)["state"] == "done"
    assert str(job) in remote("jobs", "--state", "done").stdout
    assert json.loads(remote("jobs", "--state", "queued", "--json").stdout) == []


def test_the_options_are_what_the_job_is_told(remote, place, image):
    options = ["-m", MODEL, "--format", "nifti,preview", "--priority", "archive", "--series", "1.2", "--force"]
    more = ["--allow", "shear-tilt", "--time-limit", "60"]
    job = place.ledger.find(int(remote("submit", image, *options, *more).stdout))
    work = StudyWork.model_validate(job.payload)
    assert [str(each) for each in work.formats] == ["nifti", "preview"]
    assert (work.model, work.series, work.allow, work.force) == (MODEL, ("1.2",), ("shear-tilt",), True)
    assert work.expires_at is not None
    assert job.priority == 0


def test_a_key_that_was_used_is_said(remote, image):
    job = remote("submit", image, "--idempotency-key", "one").stdout
    again = remote("submit", image, "--idempotency-key", "one")
    assert again.stdout == job
    assert "submitted before" in again.stderr


def test_a_cancelled_job_ends_its_watch_with_status_1(remote, image):
    job = int(remote("submit", image).stdout)
    assert remote("cancel", job).stdout == "cancelled\n"
    result = remote("watch", job, status=1)
    assert f"scnas: job {job}: expected a job that is done, found one that is cancelled" in result.stderr
    assert remote("fetch", job, "-o", "results", status=1).stdout == ""


def test_a_refused_call_is_one_line_with_the_status_of_its_error(remote, image, tmp_path):
    assert "scnas: " in remote("submit", image, "-m", "another", status=2).stderr
    assert "scnas: " in remote("submit", tmp_path / "nothing", status=3).stderr
    assert "scnas: " in remote("cancel", 99, status=1).stderr
    assert "scnas: " in remote("submit", image, "--format", "sr", status=2).stderr


def test_models_are_listed(remote):
    (model,) = json.loads(remote("models", "--json").stdout)
    assert (model["name"], model["is_default"]) == (MODEL, True)
    assert MODEL in remote("models").stdout


def test_certificates_and_tokens_are_shown(place, authority, tokens, image, tmp_path):  # noqa: F811
    server = place.serve(insecure=False, tls=authority.server(), tokens=tokens)
    shown = authority.client("radiology")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    options = ["--server", f"127.0.0.1:{server.port}", "--ca", shown.ca, "--certificate", shown.certificate]
    whole = [*options, "--key", shown.key, "--token-file", "token"]
    result = scnas_here(tmp_path, "remote", *whole, "submit", image, environment={})
    assert result.returncode == 0, result.stderr
    assert "clear" not in result.stderr
    assert place.jobs()[0].payload["submitted_by"] == "workstation"
    half = scnas_here(tmp_path, "remote", *options, "models", environment={})
    assert half.returncode == 2
    assert "--key" in half.stderr


def test_a_token_in_the_clear_is_warned_of(place, tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"workstation {sha256_of(TOKEN.encode())}\n")
    server = place.serve(insecure=False, tokens=path)
    (tmp_path / "token").write_text(TOKEN)
    options = ["--server", f"127.0.0.1:{server.port}", "--token-file", "token"]
    result = scnas_here(tmp_path, "remote", *options, "models", environment={})
    assert result.returncode == 0
    assert "in the clear" in result.stderr


def test_a_server_that_is_not_there_is_said_in_a_line(tmp_path, monkeypatch):
    from scnas_deploy.serve.rpc import client

    monkeypatch.setattr(client, "_WAITS_S", ())
    result = scnas_here(tmp_path, "remote", "--server", "127.0.0.1:1", "models", environment={})
    assert result.returncode == 1
    assert result.stderr.startswith("scnas: 127.0.0.1:1: expected a server that answers, found UNAVAILABLE")
    assert len(result.stderr.splitlines()) == 1


def test_a_server_that_shows_the_wrong_certificate_is_said_in_a_line(place, authority, tmp_path_factory, tmp_path):  # noqa: F811
    """In a process of its own: gRPC would write to standard error past Python."""
    stranger = make_authority(tmp_path_factory.mktemp("tls") / "stranger")
    server = place.serve(insecure=False, tls=stranger.server())
    shown = authority.client("radiology")
    options = ["--ca", shown.ca, "--certificate", shown.certificate, "--key", shown.key]
    arguments = ["scnas", "remote", "--server", f"127.0.0.1:{server.port}", *map(str, options), "models"]
    program = f"import sys, time; time.sleep = lambda _: None; sys.argv = {arguments!r}\n"
    program += "from scnas_deploy.cli.main import run; run()"
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "CERTIFICATE_VERIFY_FAILED" in result.stderr
