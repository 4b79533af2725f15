"""Batches on PostgreSQL: shared by two calls, with the database restarted, and worked through by a Ray cluster."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.archive import assert_all_done_once, masks, write_archive
from tests.jobs.conftest import empty_schema

SCNAS = Path(sys.executable).with_name("scnas")
_PATIENCE_SECONDS = 200

pytestmark = pytest.mark.soak


@pytest.fixture
def archive(tmp_path, phantom_dataset):
    """Write a manifest of so many studies."""
    return lambda num_studies: write_archive(tmp_path, phantom_dataset, num_studies)


@pytest.fixture
def batch(tmp_path, exported, postgres):
    """Start the command on an empty ledger that all calls share."""
    url = empty_schema(postgres)

    def start(manifest: Path, *arguments: object, ledger: str | None = url) -> subprocess.Popen:
        shared = [] if ledger is None else ["--ledger", ledger]
        command = [SCNAS, "batch", manifest, "-m", exported.package, "-o", tmp_path / "out", *shared, *arguments]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def end_of(process: subprocess.Popen) -> str:
    said = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return said[0]


def wait_for(num_masks: int, folder: Path, process: subprocess.Popen) -> None:
    while len(masks(folder)) < num_masks:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_two_calls_share_the_studies_and_one_does_those_of_the_other_that_is_killed(batch, archive, tmp_path):
    manifest, out = archive(60), tmp_path / "out"
    first, second = batch(manifest), batch(manifest)
    wait_for(20, out, second)
    first.kill()
    first.communicate()
    end_of(second)
    assert_all_done_once(out, 60)


def test_a_database_that_is_restarted_delays_the_batch_only(batch, archive, tmp_path, postgres):
    manifest, out = archive(40), tmp_path / "out"
    process = batch(manifest)
    wait_for(10, out, process)
    postgres.stop()
    time.sleep(2.0)
    postgres.start()
    end_of(process)
    assert_all_done_once(out, 40)


@pytest.fixture
def ray_nodes() -> Iterator[subprocess.Popen]:
    """Two nodes; a line on standard input kills the second."""
    folder = tempfile.mkdtemp(prefix="scnas-ray-", dir="/tmp")  # its sockets need a short path
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.ray_nodes", folder],
        env={**os.environ, "PYTHONPATH": path},
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.communicate("\n\n", timeout=60)
    shutil.rmtree(folder, ignore_errors=True)


def test_on_two_ray_nodes_of_which_one_is_killed_every_study_is_there_once(batch, archive, tmp_path, ray_nodes):
    manifest, out = archive(200), tmp_path / "out"
    address = ray_nodes.stdout.readline().strip()
    refused = batch(manifest, "--ray", address, ledger=None)
    assert "Name a PostgreSQL database" in refused.communicate(timeout=_PATIENCE_SECONDS)[1]
    assert refused.returncode == 2
    process = batch(manifest, "--ray", address, "--workers", 2)
    wait_for(60, out, process)
    ray_nodes.stdin.write("kill\n")
    ray_nodes.stdin.flush()
    assert ray_nodes.stdout.readline() == "killed\n"
    end_of(process)
    assert_all_done_once(out, 200)
