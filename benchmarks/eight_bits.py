"""What eight bits are worth on this processor: OpenVINO in float32 and in eight bits, in turns.

Compares: milliseconds of one patch on OpenVINO, shortest of the repeats, of the shipped network and nnU-Net's own for
Task04_Hippocampus, whose convolutions are wider (untrained: weights do not matter for speed); bytes of the files; and
how many of the convolutions OpenVINO's own graph says that it runs on integers.

Does not prove: that the labels stay right, which each export has to prove on real patches, or anything about other
processors: without VNNI, integers gain less.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass

import numpy as np

from benchmarks.engine_profile import nnunet, shipped
from benchmarks.node_times import compile_openvino
from scnas_deploy.export.int8 import to_int8
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.latency import latencies_ms, noise_patch
from scnas_deploy.machine import num_cores, processor_name
from scnas_deploy.types import PatchesBCXYZ


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One network in both precisions."""

    exact_ms: float
    integer_ms: float
    part_of_bytes: float
    """The file in eight bits over that in float32."""
    on_integers: int
    convolutions: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=num_cores())
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    print(f"{processor_name()}, {arguments.threads} threads")
    results = {}
    for name, network in (("shipped", shipped()), ("nnunet", nnunet())):
        patch_BCXYZ = noise_patch(1, network.patch_size)
        results[name] = measure(network.model, patch_BCXYZ, arguments.threads, arguments.repeats)
        print(_line(name, results[name]))
    ratios = {f"speedup_{name}": round(result.exact_ms / result.integer_ms, 4) for name, result in results.items()}
    print(json.dumps(ratios))


def measure(model: bytes, patch_BCXYZ: PatchesBCXYZ, num_threads: int, repeats: int) -> Result:
    integer = to_int8(model, [patch_BCXYZ])
    engines = [OpenVinoEngine(each, num_threads=num_threads) for each in (model, integer)]
    exact_ms, integer_ms = latencies_ms([(engine, patch_BCXYZ) for engine in engines], repeats=repeats)
    kinds = convolution_types(integer, patch_BCXYZ)
    return Result(
        exact_ms=exact_ms,
        integer_ms=integer_ms,
        part_of_bytes=len(integer) / len(model),
        on_integers=sum(count for kind, count in kinds.items() if kind in ("u8", "i8")),
        convolutions=kinds.total(),
    )


def convolution_types(model: bytes, patch_BCXYZ: np.ndarray) -> Counter[str]:
    """Type in which OpenVINO runs a convolution -> how many."""
    graph = compile_openvino(model, patch_BCXYZ.shape).get_runtime_model()
    notes = [node.get_rt_info() for node in graph.get_ops()]
    return Counter(note["runtimePrecision"].value for note in notes if note["layerType"].value == "Convolution")


def _line(name: str, result: Result) -> str:
    return (
        f"{name:10}{result.exact_ms:8.1f} ms{result.integer_ms:8.1f} ms in eight bits, "
        f"{result.on_integers} of {result.convolutions} convolutions on integers, "
        f"{result.part_of_bytes:.2f} of the bytes"
    )


if __name__ == "__main__":
    main()
