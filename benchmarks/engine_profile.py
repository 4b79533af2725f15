"""Where the engines' time goes: does the dense part of a network run at half of what the machine can?

Compares: the time that OpenVINO and ONNX Runtime themselves measure for each node of a network, by the kind of node,
with the machine's float32 matrix product on as many threads (`scnas_deploy/inference/matrix_product.py`), in turns;
medians over the rounds. A fused node counts as the first of the kinds of `benchmarks/onnx_layers.py` that is in it.
Networks: the shipped one; one over all eight operations, 32 channels wide (`benchmarks/all_operations.genotype.json`,
64^3 voxels); nnU-Net's own for Task04_Hippocampus (40x56x40 voxels). The latter two are untrained: weights do not
matter for speed. The dense layers that take longest are listed with the part of the vector lanes that their channels
fill: what bounds a kernel that keeps channels in lanes.
Also: OpenVINO with one call at a time on all threads against as many calls of one thread each.

Does not prove: anything about GPUs, or about whole studies (`scnas bench` measures those); anything on a machine that
has other work, where a matrix product of several threads suffers most. To count costs the engines a little itself.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.kind_table import Summary, dense_lines, dense_share, kind_lines, part_of_time, summarise
from benchmarks.node_times import PROFILES
from benchmarks.onnx_layers import Kind, layers_of
from benchmarks.sliding_window import SHIPPED
from benchmarks.streams import many_over_one
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.inference.latency import noise_patch
from scnas_deploy.inference.matrix_product import matrix_product_gmacs
from scnas_deploy.inference.package import open_package
from scnas_deploy.machine import num_cores, processor_name
from scnas_deploy.networks.builder import build
from scnas_deploy.networks.genotype import Architecture, PlainConvUNetArchitecture, load_genotype
from scnas_deploy.types import Shape3

LONGEST = 8
"""Sorts of dense layers that are listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """What is profiled: one channel, three classes."""

    model: bytes
    patch_size: Shape3


def shipped() -> Network:
    package = open_package(SHIPPED)
    return Network(model=package.model, patch_size=package.plan.patch_size)


def all_operations() -> Network:
    genotype = load_genotype(Path(__file__).with_name("all_operations.genotype.json"))
    return _untrained(genotype.architecture, (64, 64, 64))


def nnunet() -> Network:
    return _untrained(PlainConvUNetArchitecture(), (40, 56, 40))


NETWORKS: dict[str, Callable[[], Network]] = {"shipped": shipped, "all_operations": all_operations, "nnunet": nnunet}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=num_cores(), help="of engines and matrix product")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=10, help="patches of each engine in a round")
    arguments = parser.parse_args()
    print(f"{processor_name()}, {arguments.threads} threads; {', '.join(PROFILES)}")
    result = {"dense_share": {}, "dense_part_of_time": {}, "many_calls_over_one": {}, "matrix_product_gmacs": {}}
    for name in arguments.networks:
        for figure, value in profile(name, arguments).items():
            result[figure][name] = value
    print(json.dumps(result))


def profile(name: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Profile one network, print its tables, and return its figures."""
    network = NETWORKS[name]()
    rounds = measure(network, arguments)
    for engine, summaries in rounds.items():
        print_engine(f"{name} on {engine}", summaries)
    patch_BCXYZ = noise_patch(1, network.patch_size)
    ratio = many_over_one(network.model, patch_BCXYZ, arguments.threads, arguments.rounds, arguments.repeats)
    faster = f"{arguments.threads} calls of 1 thread" if ratio > 1 else f"1 call of {arguments.threads} threads"
    print(f"\n{name} on OpenVINO, {arguments.threads} calls of 1 thread over 1 call of all: {ratio:.2f}; take {faster}")
    return {
        "dense_share": {engine.split()[0]: round(dense_share(rounds[engine]), 4) for engine in rounds},
        "dense_part_of_time": {
            engine.split()[0]: round(part_of_time(rounds[engine], Kind.DENSE), 4) for engine in rounds
        },
        "many_calls_over_one": round(ratio, 3),
        "matrix_product_gmacs": round(max(summary.peak for summary in next(iter(rounds.values()))), 1),
    }


def measure(network: Network, arguments: argparse.Namespace) -> dict[str, list[Summary]]:
    """Engine -> its rounds, taken in turns with the matrix product."""
    layers = layers_of(network.model)
    patch_BCXYZ = noise_patch(1, network.patch_size)
    rounds: dict[str, list[Summary]] = {engine: [] for engine in PROFILES}
    for _ in range(arguments.rounds):
        peak = matrix_product_gmacs(arguments.threads)
        for engine, measured in PROFILES.items():
            nodes = measured(network.model, patch_BCXYZ, arguments.threads, arguments.repeats)
            rounds[engine].append(summarise(nodes, layers, peak))
    return rounds


def print_engine(title: str, rounds: list[Summary]) -> None:
    gmacs = sum(part.gmacs for part in rounds[0].kinds.values())
    print(f"\n{title}: {gmacs:.3f} GMAC a patch, matrix product {max(summary.peak for summary in rounds):.1f} GMAC/s")
    print("\n".join(kind_lines(rounds)))
    print("\n".join(dense_lines(rounds, LONGEST)))
    share = dense_share(rounds)
    others = sorted(
        (kind for kind in rounds[0].kinds if kind is not Kind.DENSE), key=lambda k: -part_of_time(rounds, k)
    )
    rest = ", ".join(f"{kind} {part_of_time(rounds, kind):.0%}" for kind in others[:3])
    verdict = "at least half of" if share >= 0.5 else "less than half of"
    print(
        f"  The dense convolutions run at {share:.1%} of the matrix product's rate, {verdict} it, and take "
        f"{part_of_time(rounds, Kind.DENSE):.0%} of the time. Then come: {rest}."
    )


def _untrained(architecture: Architecture, patch_size: Shape3) -> Network:
    torch.manual_seed(0)
    return Network(
        model=export_onnx(build(architecture, in_channels=1, num_classes=3), 1, patch_size), patch_size=patch_size
    )


if __name__ == "__main__":
    main()
