"""One study from the shell, cold: `scnas segment` against the same network in eager PyTorch.

Compares: wall time and peak resident memory of whole processes, started in turns: `scnas segment` with the
default engine, and a Python process that imports PyTorch, rebuilds the network from the same package's weights
and runs the same patches. Also the wall time of `scnas --help`.

Does not prove: the speed of the network itself on large studies, where start-up does not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

SCNAS = Path(sys.executable).with_name("scnas")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="a model package, such as the demo's")
    parser.add_argument("study", type=Path, help="a NIfTI study for it")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--eager", action="store_true", help="segment in eager PyTorch in this process")
    arguments = parser.parse_args()
    if arguments.eager:
        segment_eagerly(arguments.package, arguments.study)
        return
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "labels.nii.gz")
        package, study = str(arguments.package), str(arguments.study)
        commands = {
            "scnas segment": [str(SCNAS), "segment", study, "-m", package, "-o", output],
            "eager PyTorch": [sys.executable, __file__, package, study, "--eager"],
            "scnas --help": [str(SCNAS), "--help"],
        }
        figures = {name: [] for name in commands}
        for _ in range(arguments.repeats):
            for name, command in commands.items():
                figures[name].append(run(command))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in figures.items()
    }
    print(f"{'':16}{'s wall':>8}{'peak MB':>9}")
    for name, (seconds, megabytes) in medians.items():
        print(f"{name:16}{seconds:8.2f}{megabytes:9.0f}")
    ours, eager = medians["scnas segment"], medians["eager PyTorch"]
    result = {
        "segment_seconds": ours[0],
        "segment_peak_mb": ours[1],
        "help_seconds": medians["scnas --help"][0],
        "time_over_eager": ours[0] / eager[0],
        "memory_over_eager": ours[1] / eager[1],
    }
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))


def run(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident megabytes of a process."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def segment_eagerly(package: Path, study: Path) -> None:
    from safetensors.torch import load

    from scnas_deploy.data.preprocess import prepare
    from scnas_deploy.data.study import load_study
    from scnas_deploy.inference.engines.pytorch import TorchEngine
    from scnas_deploy.inference.package import WEIGHTS, open_package
    from scnas_deploy.inference.predictor import Predictor
    from scnas_deploy.training.run import build_network

    opened = open_package(package)
    network = build_network(opened.genotype.architecture, opened.plan)
    with zipfile.ZipFile(package) as archive:
        network.load_state_dict(load(archive.read(WEIGHTS)))
    image, way_back = prepare(load_study([study]), opened.plan)
    way_back.restore(Predictor(TorchEngine(network), opened.plan).predict(image))


if __name__ == "__main__":
    main()
