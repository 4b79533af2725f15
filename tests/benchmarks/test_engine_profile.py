"""An engine's nodes are summed up without losing or doubling any; what they took is not judged here."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.engine_profile import measure, shipped
from benchmarks.kind_table import dense_share, kind_lines, lanes_filled, part_of_time, summarise
from benchmarks.node_times import Node, Profile
from benchmarks.onnx_layers import Kind, Layer, layers_of
from benchmarks.sliding_window import SHIPPED
from scnas_deploy.inference.package import open_package

DENSE = Layer(name="dense", kind=Kind.DENSE, gmacs=2.0, in_channels=4, out_channels=8, grid=(8, 8, 8))
POINTWISE = Layer(name="pointwise", kind=Kind.POINTWISE, gmacs=0.5, in_channels=8, out_channels=8, grid=(8, 8, 8))
NORM = Layer(name="norm", kind=Kind.NORM)
LAYERS = {"dense": DENSE, "dense_result": DENSE, "pointwise": POINTWISE, "norm": NORM}


def node(*layers, seconds, kind="Any"):
    return Node(name="/".join(layers), layers=layers, type=kind, seconds=seconds)


FUSED = [
    node("dense", "dense_result", "norm", seconds=0.05),
    node("pointwise", seconds=0.03),
    node("MVN_1", seconds=0.015, kind="MVN"),
    node(seconds=0.005, kind="Reorder"),
]


def test_a_fused_node_counts_once_as_the_heaviest_of_its_kinds():
    round_ = summarise(Profile(nodes=FUSED, seconds=0.11), LAYERS, peak=80.0)
    assert {kind: (part.nodes, part.gmacs) for kind, part in round_.kinds.items()} == {
        Kind.DENSE: (1, 2.0),
        Kind.POINTWISE: (1, 0.5),
        Kind.NORM: (1, 0.0),
        Kind.COPY: (1, 0.0),
    }
    assert list(round_.dense) == [(4, 8, (8, 8, 8))]
    assert dense_share([round_]) == pytest.approx(2.0 / 0.05 / 80)
    assert part_of_time([round_], Kind.NORM) == pytest.approx(0.15)
    assert "10.00" in kind_lines([round_])[-1]


@pytest.mark.parametrize("nodes", [FUSED[1:], [*FUSED, FUSED[0]]])
def test_a_convolution_that_is_lost_or_measured_twice_is_an_error(nodes):
    with pytest.raises(AssertionError, match="not measured, or twice"):
        summarise(Profile(nodes=nodes, seconds=0.1), LAYERS, peak=80.0)


def test_lanes_are_filled_by_multiples_of_their_number(monkeypatch):
    monkeypatch.setattr("benchmarks.kind_table._lanes", lambda: 16)
    assert [lanes_filled(channels) for channels in (4, 16, 24, 32)] == [0.25, 1.0, 0.75, 1.0]


def test_on_each_engine_the_shipped_networks_nodes_are_found_again():
    network, genotype = shipped(), open_package(SHIPPED).genotype
    dense = {layer.name for layer in layers_of(network.model).values() if layer.kind is Kind.DENSE}
    rounds = measure(network, Namespace(rounds=1, threads=1, repeats=1))
    assert [engine.split()[0] for engine in rounds] == ["openvino", "onnxruntime"]
    for (summary,) in rounds.values():
        assert sum(part.gmacs for part in summary.kinds.values()) == pytest.approx(genotype.gmacs, abs=1e-3)
        assert sum(part.gmacs for part in summary.dense.values()) == pytest.approx(summary.kinds[Kind.DENSE].gmacs)
        assert summary.kinds[Kind.DENSE].nodes == len(dense) > 20
        assert Kind.OTHER not in summary.kinds
        assert dense_share([summary]) > 0


@pytest.mark.soak
def test_a_tiny_run_over_all_networks_ends_with_its_figures_as_json():
    tiny = ("--rounds", "1", "--repeats", "1", "--threads", "2")
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.engine_profile", *tiny],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout.splitlines()[-1])
    for network in ("shipped", "all_operations", "nnunet"):
        assert set(figures["dense_share"][network]) == {"openvino", "onnxruntime"}
        assert all(0 < part < 1 for part in figures["dense_part_of_time"][network].values())
        assert figures["many_calls_over_one"][network] > 0
