"""Every part runs on the engines, in the exporter's operators, and its time is its own."""

import numpy as np
import onnx
import pytest

from scnas_deploy.export import op_costs
from scnas_deploy.export.op_costs import Measuring, Pace, measure_costs, measure_network, places
from scnas_deploy.export.op_graphs import company, repeated
from scnas_deploy.inference.engines.select import open_engine
from scnas_deploy.inference.latency import noise_patch
from scnas_deploy.inference.package import open_package
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.costs import SKELETON
from scnas_deploy.networks.genotype import Operation, ScnasArchitecture
from tests.inference.conftest import EngineFake

PATCH = (24, 24, 24)
PARTS = [place for place in places(8) if place.part != "skeleton"]


def operators(model: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(model).graph.node}


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_every_part_runs_on_the_engine(engine):
    for place in PARTS:
        patch = np.ones((1, 1, *(size >> place.from_level for size in PATCH)), np.float32)
        answer = open_engine({"float32": repeated(place, PATCH, 2)}, engine, num_threads=1).engine.run(patch)
        assert answer.shape == patch.shape, place
        assert np.isfinite(answer).all(), place


def test_the_parts_are_made_of_the_exporters_operators(exported):
    """The package's network has every operation."""
    of_exporter = operators(open_package(exported.package).model)
    written = set.union(*(operators(repeated(place, PATCH, 2)) for place in PARTS))
    assert of_exporter - written == {"Concat"}
    assert written - of_exporter == {"GlobalAveragePool", "ReduceMean"}


def test_each_copy_brings_its_part_once_and_what_is_said_beside_it():
    counts = {"conv_3x3x3": "Conv", "max_pool_3x3x3": "MaxPool", "projection": "Conv", "activation": "LeakyRelu"}
    for place in PARTS:
        nodes = [[n.op_type for n in onnx.load_from_string(repeated(place, PATCH, k)).graph.node] for k in (1, 4)]
        if str(place.part) in counts:
            operator = counts[str(place.part)]
            assert nodes[1].count(operator) - nodes[0].count(operator) == 3, place
        _, sums = company(place)
        assert nodes[1].count("Add") - nodes[0].count("Add") == 3 * sums, place


def test_what_runs_beside_a_part_is_taken_off(phantom_plan, monkeypatch):
    """With engines that take one millisecond an ONNX node, a part takes its own number of nodes."""
    monkeypatch.setattr(op_costs, "open_engine", lambda model, *_, **__: _Opened(model["float32"]))
    monkeypatch.setattr(op_costs, "Pace", PaceFake)
    monkeypatch.setattr(op_costs, "measure_network", lambda *_: 100.0)
    costs = measure_costs(Measuring(), phantom_plan, [8])
    own = {"sum": 1, "activation": 1, "skeleton": 100, Operation.IDENTITY: 1, Operation.MAX_POOL: 2}
    own |= {Operation.AVERAGE_POOL: 2, Operation.SEPARABLE_2: 3, Operation.SEPARABLE_3: 3, Operation.SEPARABLE_4: 3}
    for entry in costs.entries:
        place = entry.place
        if place.part is Operation.CONV:
            assert entry.milliseconds == 2 + (place.count > 1)
        elif place.part == "projection":
            assert entry.milliseconds == 3 + (place.from_level > place.level)
        else:
            assert entry.milliseconds == own[place.part], place


@pytest.mark.soak
def test_the_skeleton_is_counted_and_measured_as_a_network(phantom_plan):
    architecture, measuring = ScnasArchitecture(cells=SKELETON, stem_channels=8), Measuring(num_threads=1, repeats=1)
    assert measure_network(measuring, architecture, phantom_plan, Pace(measuring, phantom_plan, 8)) > 0
    assert count(architecture, in_channels=1, num_classes=3, patch_size=PATCH).num_parameters > 0


def test_times_are_brought_to_the_pace_of_the_known_one(phantom_plan, monkeypatch):
    """The network of ten milliseconds takes twelve now: what takes six now is a matter of five."""
    patch = noise_patch(1, PATCH)
    reference, part = EngineFake(lambda patches: patches), EngineFake(lambda patches: patches)
    now = {id(reference): 12.0, id(part): 6.0}
    monkeypatch.setattr(op_costs, "_network_call", lambda *_: (reference, patch))
    monkeypatch.setattr(op_costs, "latencies_ms", lambda calls, **_: [now[id(engine)] for engine, _ in calls])
    assert Pace(Measuring(), phantom_plan, 8, 10.0).latencies_ms([(part, patch)], repeats=1) == [5.0]


class PaceFake(Pace):
    """An unchanging one; engines take a millisecond a node."""

    def __init__(self, *_):
        pass

    def latencies_ms(self, calls, *, repeats):
        return [float(engine.num_nodes) for engine, _ in calls]


class _Opened:
    """An engine that knows how many nodes its model has."""

    name, device, precision, preferred_batch, concurrency = "counter 1.0", "CPU", "float32", 1, 1

    def __init__(self, model):
        self.engine = self
        self.num_nodes = len(onnx.load_from_string(model).graph.node)

    def run(self, patches):
        raise AssertionError
