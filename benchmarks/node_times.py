"""What the nodes of a network take in OpenVINO and in ONNX Runtime, as the engines themselves measure it.

Both count from the moment a network is opened, so that each measurement opens it anew.
"""

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import openvino

WARM_UPS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node as the engine runs it."""

    name: str
    layers: tuple[str, ...]
    """Names of the ONNX nodes that are fused in it; none for what the engine has added."""
    type: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One patch through the network."""

    nodes: list[Node]
    seconds: float
    """From call to answer, what lies between the nodes included."""


def compile_openvino(model: bytes, shape: tuple[int, ...], **settings: object) -> Any:
    """Compile a network for one fixed shape, as `scnas_deploy/inference/engines/openvino.py` does."""
    core = openvino.Core()
    network = core.read_model(model=model, weights=b"")
    network.reshape(list(shape))
    always = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    return core.compile_model(network, "CPU", {**always, **settings})


def profile_openvino(model: bytes, patch_BCXYZ: np.ndarray, num_threads: int, repeats: int) -> Profile:
    """Run a patch so many times on OpenVINO; times are those of one."""
    compiled = compile_openvino(model, patch_BCXYZ.shape, INFERENCE_NUM_THREADS=num_threads, PERF_COUNT=True)
    request = compiled.create_infer_request()
    _timed(lambda: request.infer([patch_BCXYZ]), WARM_UPS)
    before = {info.node_name: _total(info, WARM_UPS) for info in request.get_profiling_info()}
    seconds = _timed(lambda: request.infer([patch_BCXYZ]), repeats)
    layers = {node.get_friendly_name(): _original_names(node) for node in compiled.get_runtime_model().get_ops()}
    nodes = [
        Node(
            name=info.node_name,
            layers=layers.get(info.node_name, ()),
            type=info.node_type,
            seconds=(_total(info, WARM_UPS + repeats) - before[info.node_name]) / repeats,
        )
        for info in request.get_profiling_info()
        if info.status == openvino.ProfilingInfo.Status.EXECUTED
    ]
    return Profile(nodes=nodes, seconds=seconds)


def profile_onnxruntime(model: bytes, patch_BCXYZ: np.ndarray, num_threads: int, repeats: int) -> Profile:
    """Run a patch so many times on ONNX Runtime; times are those of one."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = num_threads
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        given = {session.get_inputs()[0].name: patch_BCXYZ}
        _timed(lambda: session.run(None, given), WARM_UPS)
        seconds = _timed(lambda: session.run(None, given), repeats)
        events = json.loads(Path(session.end_profiling()).read_text())
    return Profile(nodes=_nodes_of(events), seconds=seconds)


PROFILES: dict[str, Callable[[bytes, np.ndarray, int, int], Profile]] = {
    f"openvino {openvino.__version__.split('-')[0]}": profile_openvino,
    f"onnxruntime {onnxruntime.__version__}": profile_onnxruntime,
}
"""Engine and version -> how its nodes are measured."""


def _total(info: Any, calls: int) -> float:
    """Seconds of all calls; OpenVINO states their mean, the slow first one included."""
    total: float = info.real_time.total_seconds() * calls
    return total


def _original_names(node: Any) -> tuple[str, ...]:
    names = str(node.get_rt_info()["originalLayersNames"].astype(str))
    return tuple(name.removesuffix("/WithoutBiases") for name in names.split(",") if name)


def _nodes_of(events: list[dict[str, Any]]) -> list[Node]:
    """Median over the calls that are no warm-up of each node's kernel."""
    kernel = "_kernel_time"
    taken, types = defaultdict(list), {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(kernel):
            name = event["name"].removesuffix(kernel)
            taken[name].append(event["dur"] * 1e-6)
            types[name] = event["args"]["op_name"]
    return [
        Node(name=name, layers=(name,), type=types[name], seconds=median(seconds[WARM_UPS:]))
        for name, seconds in taken.items()
    ]


def _timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return median(taken)
