"""A volume of 512 x 512 x 800 voxels: what it takes of memory against what was said, and time per patch.

Memory: int16 voxels, 64^3 patches, overlap 0.5, on the default engine: 3 classes; 100 classes; 100 classes under
`--max-memory 3g`. Each in a process of its own; counted is the highest resident memory above that of the loaded engine
that has answered once, the study's own voxels included, as `scnas segment` says it beforehand. The network is a single
1 x 1 x 1 convolution, so that what is measured is what surrounds a network; what a limit costs in patches is printed.

Time: seconds per patch of the shipped network on volumes from one patch to 512 x 512 x 400, the small ones before and
after the large one, since the speed of most machines drifts.

Does not prove: anything about the time of reading and writing files, or about a GPU's own memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path

import numpy as np

from benchmarks.sliding_window import SHIPPED, WINDOW, at_window, prepare_network
from scnas_deploy.data.plan import Label, Plan
from scnas_deploy.inference.package import open_package
from scnas_deploy.types import Shape3

LARGE: Shape3 = (512, 512, 800)
RUNS = {"3 classes": (3, None), "100 classes": (100, None), "100 classes, 3g": (100, 3_000_000_000)}
TIMED: tuple[Shape3, ...] = ((64, 64, 64), (128, 128, 128), (256, 256, 256), (512, 512, 400))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=LARGE)
    parser.add_argument("--largest-timed", type=int, nargs=3, default=TIMED[-1])
    parser.add_argument("--patch", type=int, default=WINDOW)
    parser.add_argument("--only", choices=("memory", "time"))
    parser.add_argument("--one", nargs=2, metavar=("CLASSES", "LIMIT"), type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(take(tuple(arguments.shape), arguments.patch, *arguments.one)))
        return
    result = {}
    if arguments.only != "time":
        result["memory"] = {name: run(arguments, *settings) for name, settings in RUNS.items()}
        print_memory(result["memory"])
    if arguments.only != "memory":
        shapes = [shape for shape in TIMED[:-1] if prod(shape) < prod(arguments.largest_timed)]
        result["seconds_per_patch"] = seconds_per_patch([*shapes, tuple(arguments.largest_timed)], arguments.patch)
        times = list(result["seconds_per_patch"].values())
        result["slowest_over_fastest"] = round(max(times) / min(times), 3)
    print(json.dumps(result))


def run(arguments: argparse.Namespace, num_classes: int, limit: int | None) -> dict[str, float]:
    """One configuration in a process of its own."""
    shape = [str(size) for size in arguments.shape]
    command = [sys.executable, "-m", "benchmarks.large_volume", "--patch", str(arguments.patch), "--shape", *shape]
    ended = subprocess.run([*command, "--one", str(num_classes), str(limit or 0)], stdout=subprocess.PIPE, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def take(shape: Shape3, patch: int, num_classes: int, limit: int) -> dict[str, float]:
    """Label a study and say what it took."""
    from scnas_deploy.data.volume import Volume
    from scnas_deploy.inference.engines.select import open_engine
    from scnas_deploy.inference.labelling import Labelling, label_study
    from scnas_deploy.inference.memory import PeakMemory
    from scnas_deploy.inference.predictor import Predictor

    plan = at_window(open_package(SHIPPED).plan, patch)
    plan = plan.model_copy(update={"labels": labels(num_classes)})
    engine = open_engine({"float32": one_convolution(num_classes, plan)}).engine
    engine.run(np.zeros((1, 1, patch, patch, patch), dtype=np.float32))
    memory = PeakMemory()
    data = np.random.default_rng(0).integers(1, 1000, shape, dtype=np.int16)
    study = Volume(data=data[None], affine_ras=np.eye(4))
    started = time.perf_counter()
    labelled = label_study(study, plan, Predictor(engine, plan), Labelling(max_memory=limit or None))
    return {
        "said": labelled.forecast.peak,
        "taken": memory.above_start(),
        "seconds": round(time.perf_counter() - started, 1),
        "columns": len(labelled.forecast.sweep.columns),
        "more_patches": round(labelled.forecast.more_patches, 3),
    }


def labels(num_classes: int) -> tuple[Label, ...]:
    return tuple(Label(value=value, name=f"structure {value}", color="#ff0000") for value in range(1, num_classes))


def one_convolution(num_classes: int, plan: Plan) -> bytes:
    """An ONNX file of a single 1 x 1 x 1 convolution."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((num_classes, 1, 1, 1, 1)).astype(np.float32)
    size = plan.patch_size
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["logits"])],
        "one convolution",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, *size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", num_classes, *size])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def print_memory(runs: dict[str, dict[str, float]]) -> None:
    print(f"{'':18}{'GB said':>9}{'GB taken':>10}{'taken/said':>12}{'patches':>9}{'s':>8}")
    for name, figures in runs.items():
        said, taken = figures["said"], figures["taken"]
        print(
            f"{name:18}{said / 1e9:9.2f}{taken / 1e9:10.2f}{taken / said:12.2f}"
            f"{figures['more_patches']:8.2f}x{figures['seconds']:8.0f}"
        )


def seconds_per_patch(shapes: list[Shape3], patch: int) -> dict[str, float]:
    """Median seconds a patch for each volume, the small ones before and after the large one."""
    from scnas_deploy.inference.engines.select import open_engine
    from scnas_deploy.inference.predictor import Predictor

    with tempfile.TemporaryDirectory() as folder:
        prepare_network("shipped", Path(folder), patch)
        engine = open_engine({"float32": (Path(folder) / "shipped.onnx").read_bytes()}).engine
    predictor = Predictor(engine, at_window(open_package(SHIPPED).plan, patch))
    taken: dict[Shape3, list[float]] = {shape: [] for shape in shapes}
    for shape in [*shapes, *shapes[-2::-1]]:
        image_CXYZ = np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)
        count = predictor.sweeps(shape)[0].num_patches
        for _ in range(max(1, 100 // count)):
            started = time.perf_counter()
            predictor.predict(image_CXYZ)
            taken[shape].append((time.perf_counter() - started) / count)
    medians = {" x ".join(map(str, shape)): statistics.median(seconds) for shape, seconds in taken.items()}
    for name, seconds in medians.items():
        print(f"{name:18}{1e3 * seconds:9.1f} ms a patch")
    return {name: round(seconds, 5) for name, seconds in medians.items()}


if __name__ == "__main__":
    main()
