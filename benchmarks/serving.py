"""The server against the warm predictor in one process, and under load: what serving costs.

Compares: (1) one large study through gRPC, from the first byte sent to the last byte of the mask fetched, and the same
file read, segmented and saved by a model that is already loaded in this process; in turns, medians. (2) The part of the
time in which an engine computes while 32 clients submit 200 studies at once. (3) MiB/s at which a file of 200 MB goes
up with mutual TLS, beside the same file copied and synced on the same disk. All on 127.0.0.1, client and server on the
same cores. The studies are the shipped model's canary, repeated: synthetic, and with every class in it.

Does not prove: anything about a network between client and server, or about a GPU.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.sliding_window import volume
from scnas_deploy.api import load_model, load_volume
from scnas_deploy.inference.model import SegmentOptions
from scnas_deploy.inference.models import ModelFolder, user_models
from scnas_deploy.serve.rpc.client import Client, Wish
from scnas_deploy.serve.settings import ClientTls
from tests.serve.process import PeakWatch, ServerProcess
from tests.serve.rpc.certificates import make_authority

MODEL = "hippocampus"
SETTINGS = """
spool = "spool"
models = "models"
[grpc]
host = "127.0.0.1"
port = {grpc}
tls = { certificate = "../authority/server.pem", key = "../authority/server.key", client_ca = "../authority/ca.pem" }
[web]
host = "127.0.0.1"
port = {web}
[disk]
min_free_bytes = 1000000
[work]
studies = 3
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shape", type=int, nargs=3, default=(192, 224, 192), help="of the large study")
    parser.add_argument("--load-shape", type=int, nargs=3, default=(96, 128, 96), help="of the many studies")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCNAS_BENCHMARK_DIR")) as name, served(Path(name)) as server:
        folder = Path(name)
        large = save(folder / "large.nii.gz", tuple(arguments.shape))
        small = save(folder / "small.nii.gz", tuple(arguments.load_shape))
        result = overhead(server, large, arguments.repeats)
        result |= load(server, small, arguments.studies, arguments.clients)
        result |= upload(server, folder, arguments.megabytes, arguments.repeats)
    print(json.dumps({key: round(value, 4) for key, value in result.items()}))


def overhead(server: ServerProcess, study: Path, repeats: int) -> dict[str, float]:
    """One study both ways, in turns."""
    model = load_model(ModelFolder(server.folder / "models").named(MODEL))
    options = SegmentOptions(force=True)

    def alone() -> None:
        model.segment(load_volume(study), options).save(study.parent / "alone.nii.gz")

    def through_grpc() -> None:
        with client_of(server) as client:
            job = client.submit([study], Wish(force=True)).job
            assert [standing.state for standing in client.watch(job)][-1] == "done"
            client.fetch(job, study.parent / "fetched")

    seconds = {side.__name__: [] for side in (alone, through_grpc)}
    alone(), through_grpc()
    for _ in range(repeats):
        for side in (alone, through_grpc):
            started = time.perf_counter()
            side()
            seconds[side.__name__].append(time.perf_counter() - started)
    same = nib.load(study.parent / "alone.nii.gz").dataobj, nib.load(study.parent / "fetched" / "labels.nii.gz").dataobj
    if not np.array_equal(*map(np.asanyarray, same)):
        sys.exit("the masks differ")
    medians = {side: statistics.median(each) for side, each in seconds.items()}
    print(f"one study: alone {medians['alone']:.2f} s, through gRPC {medians['through_grpc']:.2f} s, the same mask")
    return {"grpc_overhead": medians["through_grpc"] / medians["alone"] - 1, "alone_seconds": medians["alone"]}


def load(server: ServerProcess, study: Path, num_studies: int, num_clients: int) -> dict[str, float]:
    """Many clients at once."""
    before, started = busy_seconds(server), time.perf_counter()
    ready = threading.Barrier(min(num_clients, num_studies))

    def submit(number: int) -> str:
        if number < num_clients:
            ready.wait()
        with client_of(server) as client:
            job = client.submit([study], Wish(force=True)).job
            return [standing.state for standing in client.watch(job)][-1]

    with PeakWatch(server.process.pid) as memory, ThreadPoolExecutor(num_clients) as clients:
        states = list(clients.map(submit, range(num_studies)))
    seconds = time.perf_counter() - started
    busy = (busy_seconds(server) - before) / seconds
    done = states.count("done")
    print(
        f"{num_clients} clients: {done} of {num_studies} studies done in {seconds:.0f} s, engine busy {busy:.1%}, "
        f"server at most {memory.bytes / 1e9:.2f} GB"
    )
    return {
        "engine_busy": busy,
        "served": done / num_studies,
        "studies_per_minute": 60 * done / seconds,
        "server_peak_gb": memory.bytes / 1e9,
    }


def upload(server: ServerProcess, folder: Path, megabytes: int, repeats: int) -> dict[str, float]:
    """A large file, on its way up only: its job is cancelled at once."""
    path = folder / "big.nii"
    shape = (250, 400, megabytes * 5)
    data = np.lib.format.open_memmap(folder / "big.npy", mode="w+", dtype=np.int16, shape=shape)
    data[:] = np.random.default_rng(0).integers(0, 1000, shape[2], dtype=np.int16)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    rates: dict[str, list[float]] = {"upload": [], "copy": []}
    for _ in range(repeats):
        with client_of(server) as client:
            client.models()  # the connection is there
            started = time.perf_counter()
            job = client.submit([path], Wish(force=True, priority="archive")).job
            rates["upload"].append(path.stat().st_size / 2**20 / (time.perf_counter() - started))
            client.cancel(job)
        rates["copy"].append(copied(path, server.folder / "spool" / "copy"))
    medians = {side: statistics.median(each) for side, each in rates.items()}
    print(
        f"{megabytes} MB with mutual TLS {medians['upload']:.0f} MiB/s, copied on the disk {medians['copy']:.0f} MiB/s"
    )
    return {"upload_mib_s": medians["upload"], "disk_mib_s": medians["copy"]}


def copied(source: Path, target: Path) -> float:
    """MiB/s of writing a file's bytes and syncing them."""
    content, started = source.read_bytes(), time.perf_counter()
    with target.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rate = len(content) / 2**20 / (time.perf_counter() - started)
    target.unlink()
    return rate


@contextmanager
def served(folder: Path) -> Iterator[ServerProcess]:
    home = folder / "server"
    ModelFolder(home / "models").install(user_models().packages()[MODEL], MODEL)
    authority = make_authority(folder / "authority")
    authority.server(), authority.client("client")
    server = ServerProcess(home, SETTINGS).start()
    try:
        yield server.wait_ready()
    finally:
        server.end()


def client_of(server: ServerProcess) -> Client:
    home = server.folder.parent / "authority"
    tls = ClientTls(ca=home / "ca.pem", certificate=home / "client.pem", key=home / "client.key")
    return Client(f"127.0.0.1:{server.grpc}", tls=tls)


def save(path: Path, shape: tuple[int, int, int]) -> Path:
    nib.save(nib.Nifti1Image(volume(shape)[0], np.eye(4)), path)
    return path


def busy_seconds(server: ServerProcess) -> float:
    return server.metrics()["scnas_engine_seconds_total"]


if __name__ == "__main__":
    main()
