"""Many clients at once: all are served, and memory stays within bounds."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scnas_deploy.serve.rpc.client import Client, Wish
from tests.serve.process import PeakWatch
from tests.serve.running_server import start_server
from tests.serve.studies import crop_objects, encoded

pytestmark = pytest.mark.soak

NUM_CLIENTS, NUM_STUDIES = 32, 200
BASE_BYTES, BYTES_A_CALL = 1_000_000_000, 4 * 2**20
"""Interpreter, libraries, model and the studies under way; messages of a call that is being received."""


@pytest.fixture
def server(tmp_path):
    process = start_server(tmp_path / "server")
    yield process.wait_ready()
    process.end()


def written(folder: Path, scnas_data: Path, number: int) -> Path:
    study = folder / str(number)
    study.mkdir(parents=True)
    for index, dataset in enumerate(crop_objects(scnas_data, number)):
        (study / f"{index}.dcm").write_bytes(encoded(dataset))
    return study


def test_thirty_two_clients_submit_two_hundred_studies(server, scnas_data, tmp_path):
    studies = [written(tmp_path / "studies", scnas_data, number) for number in range(1, NUM_STUDIES + 1)]
    together = threading.Barrier(NUM_CLIENTS)

    def submit(number: int) -> tuple[int, str, int]:
        if number < NUM_CLIENTS:
            together.wait()
        with Client(f"127.0.0.1:{server.grpc}") as client:
            job = client.submit([studies[number]], Wish(idempotency_key=str(number))).job
            state = [standing.state.value for standing in client.watch(job)][-1]
            fetched = client.fetch(job, tmp_path / "results" / str(number))
        return job, state, len(fetched.files)

    with PeakWatch(server.process.pid) as memory, ThreadPoolExecutor(NUM_CLIENTS) as clients:
        outcomes = list(clients.map(submit, range(NUM_STUDIES)))
    assert Counter(state for _, state, _ in outcomes) == {"done": NUM_STUDIES}
    assert len({job for job, _, _ in outcomes}) == NUM_STUDIES
    assert {number for _, _, number in outcomes} == {2}
    assert 0 < memory.bytes < BASE_BYTES + NUM_CLIENTS * BYTES_A_CALL
