"""A whole volume in overlapping windows: ours against MONAI's `sliding_window_inference` in eager PyTorch.

Compares: the same network with the same weights on the same volume, 64^3 windows, overlap 0.5, Gaussian blending, two
threads each. Each side is a process of its own that has loaded its network and run one window before; they take turns
over the whole volume. Prints the median seconds, each process' highest resident memory, imports and network included,
and the part of the voxels with the same label. Two networks: the shipped one, and a genotype over all eight operations
at stem 32 with untrained weights (`benchmarks/all_operations.genotype.json`). The volume is the shipped model's canary,
repeated: synthetic, and with every class in it.

MONAI runs one window a call, which takes the least memory, and in PyTorch's default memory layout. It is given our
Gaussian as `roi_weight_map`: its own is raised to at least a thousandth of its middle, which moves a few labels.

Does not prove: anything about a GPU, about other networks, or about PyTorch compiled.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scnas_deploy.data.plan import Plan
from scnas_deploy.inference.package import ModelPackage, open_package
from scnas_deploy.networks.genotype import Genotype, load_genotype
from scnas_deploy.types import Shape3

if TYPE_CHECKING:
    from torch import nn

SHIPPED = Path(__file__).parents[1] / "scnas_deploy/shipped/hippocampus.scnas"
ALL_OPERATIONS = Path(__file__).with_name("all_operations.genotype.json")
NETWORKS = ("shipped", "all_operations")
SIDES = ("ours", "monai")
WINDOW = 64
NUM_THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 192, 160))
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "NETWORK", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        serve(*arguments.side, window=arguments.window)
        return
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "volume.npy", volume(tuple(arguments.shape)))
        results = {
            network: compare(network, Path(folder), arguments.window, arguments.repeats)
            for network in arguments.networks
        }
    shown = {"shipped": "speedup", "all_operations": "speedup_all_ops"}
    print(
        json.dumps(
            {shown[network]: result["speedup"] for network, result in results.items()}
            | {
                "memory_ratio": max(result["memory_ratio"] for result in results.values()),
                "agreement": min(result["agreement"] for result in results.values()),
                "networks": results,
            }
        )
    )


def compare(network: str, folder: Path, window: int, repeats: int) -> dict[str, float]:
    """Run both sides in turns; print what they take."""
    prepare_network(network, folder, window)
    sides = {side: Side(side, network, folder, window) for side in SIDES}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(repeats):
        for side in sorted(SIDES, reverse=bool(number % 2)):
            seconds[side].append(sides[side].run())
    peaks = {side: process.end() for side, process in sides.items()}
    labels = {side: np.load(folder / f"{network}-{side}.npy") for side in SIDES}
    medians = {side: statistics.median(taken) for side, taken in seconds.items()}
    classes = ", ".join(f"{share:.1%}" for share in np.bincount(labels["monai"].ravel()) / labels["monai"].size)
    print(f"{network}, {' x '.join(map(str, labels['ours'].shape))} voxels, classes {classes}")
    for side in SIDES:
        print(f"  {side:6} {medians[side]:8.2f} s  {peaks[side] / 1e6:8.0f} MB at the peak")
    return {
        "speedup": round(medians["monai"] / medians["ours"], 3),
        "memory_ratio": round(peaks["ours"] / peaks["monai"], 3),
        "agreement": float((labels["ours"] == labels["monai"]).mean()),
        "our_seconds": round(medians["ours"], 3),
        "monai_seconds": round(medians["monai"], 3),
        "our_mb": round(peaks["ours"] / 1e6),
        "monai_mb": round(peaks["monai"] / 1e6),
    }


class Side:
    """A process that has loaded a network and runs the volume when it is told to."""

    def __init__(self, side: str, network: str, folder: Path, window: int) -> None:
        command = [sys.executable, "-m", "benchmarks.sliding_window", "--window", str(window)]
        threads = {name: str(NUM_THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self._process = subprocess.Popen(
            [*command, "--side", side, network, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads},
        )
        self._answer()

    def run(self) -> float:
        """Seconds of one volume."""
        return float(self._ask("run"))

    def end(self) -> int:
        """The process' highest resident memory in bytes."""
        peak = int(self._ask("end"))
        self._process.wait()
        return peak

    def _ask(self, text: str) -> str:
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a side has failed")
        return line


def serve(side: str, network: str, folder: str, *, window: int) -> None:
    """Load one side, then run the volume whenever a line says so; in the end tell the highest resident memory."""
    image_CXYZ = np.load(Path(folder) / "volume.npy")
    predict = {"ours": ours, "monai": monai}[side](network, Path(folder), window)
    predict(image_CXYZ[:, :window, :window, :window])
    print("ready", flush=True)
    labels = None
    while sys.stdin.readline().strip() == "run":
        started = time.perf_counter()
        labels = predict(image_CXYZ)
        print(time.perf_counter() - started, flush=True)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    np.save(Path(folder) / f"{network}-{side}.npy", labels)
    print(1024 * int(peak.split()[1]), flush=True)


def ours(network: str, folder: Path, window: int) -> Callable[[np.ndarray], np.ndarray]:
    from scnas_deploy.inference.engines.select import open_engine
    from scnas_deploy.inference.predictor import Predictor

    model = (folder / f"{network}.onnx").read_bytes()
    engine = open_engine({"float32": model}, num_threads=NUM_THREADS).engine
    return Predictor(engine, at_window(open_package(SHIPPED).plan, window)).predict


def monai(network: str, folder: Path, window: int) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from monai.inferers import sliding_window_inference

    from scnas_deploy.inference.tiling import importance

    torch.set_num_threads(NUM_THREADS)
    module = eager(network, folder)
    one_axis = torch.from_numpy(importance(window, "gaussian")).float()
    weights = one_axis[:, None, None] * (one_axis[:, None] * one_axis)

    @torch.inference_mode()
    def predict(image_CXYZ: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(np.ascontiguousarray(image_CXYZ))[None]
        windows = {"roi_size": (window,) * 3, "sw_batch_size": 1, "overlap": 0.5, "mode": "gaussian"}
        logits = sliding_window_inference(image, predictor=module, roi_weight_map=weights, **windows)
        return logits[0].argmax(dim=0).to(torch.uint8).numpy()

    return predict


def prepare_network(network: str, folder: Path, window: int) -> None:
    """Write the network's weights and its ONNX file, in a process that ends: neither side pays for it."""
    code = f"from benchmarks.sliding_window import export; export({network!r}, {str(folder)!r}, {window})"
    subprocess.run([sys.executable, "-c", code], check=True)


def export(network: str, folder: str, window: int) -> None:
    import torch
    from safetensors.torch import save_file

    from scnas_deploy.export.onnx import export_onnx
    from scnas_deploy.networks.builder import build
    from scnas_deploy.networks.weights import weights_of

    torch.manual_seed(0)
    package, genotype = described(network)
    module = build(genotype.architecture, in_channels=1, num_classes=package.plan.num_classes)
    if network == "shipped":
        load_shipped(module)
    save_file({name: tensor.contiguous() for name, tensor in weights_of(module).items()}, f"{folder}/{network}.weights")
    (Path(folder) / f"{network}.onnx").write_bytes(export_onnx(module, 1, (window,) * 3))


def load_shipped(module: "nn.Module") -> None:
    """Take the weights from the shipped ONNX file, where equal tensors stand only once: each by its node's place."""
    import onnx
    import torch
    from onnx import numpy_helper

    from scnas_deploy.export.onnx import export_onnx
    from scnas_deploy.networks.weights import load_weights, weights_of

    package = open_package(SHIPPED)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    fresh = onnx.load_from_string(export_onnx(module, 1, package.plan.patch_size)).graph
    shipped = onnx.load_from_string(package.model).graph
    if [node.op_type for node in fresh.node] != [node.op_type for node in shipped.node]:
        sys.exit("the shipped network is not exported as it was: its weights cannot be told apart")
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in shipped.initializer}
    pairs = [
        pair
        for mine, theirs in zip(fresh.node, shipped.node, strict=True)
        for pair in zip(mine.input, theirs.input, strict=True)
    ]
    values = {mine: torch.from_numpy(tensors[theirs].copy()) for mine, theirs in pairs if theirs in tensors}
    load_weights(module, {name: values[name] for name in weights_of(module)})


def eager(network: str, folder: Path) -> "nn.Module":
    from safetensors.torch import load_file

    from scnas_deploy.networks.builder import build
    from scnas_deploy.networks.weights import load_weights

    package, genotype = described(network)
    module = build(genotype.architecture, in_channels=1, num_classes=package.plan.num_classes)
    load_weights(module, load_file(folder / f"{network}.weights"))
    return module.eval()


def described(network: str) -> tuple[ModelPackage, Genotype]:
    package = open_package(SHIPPED)
    return package, package.genotype if network == "shipped" else load_genotype(ALL_OPERATIONS)


def at_window(plan: Plan, window: int) -> Plan:
    return plan.model_copy(update={"patch_size": (window,) * 3})


def volume(shape: Shape3) -> np.ndarray:
    """The shipped model's canary, mirrored so that it joins without a seam, over and over."""
    patch_XYZ = open_package(SHIPPED).canary.patches_BCXYZ[0, 0]
    pads = [(0, max(0, size - n)) for size, n in zip(shape, patch_XYZ.shape, strict=True)]
    x, y, z = shape
    return np.pad(patch_XYZ, pads, mode="symmetric")[None, :x, :y, :z]


if __name__ == "__main__":
    main()
