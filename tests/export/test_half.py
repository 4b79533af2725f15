"""In half precision products, in float32 norms and means, and a cast only where the one meets the other."""

import collections

import numpy as np
import onnx
import pytest

from scnas_deploy.errors import ExportError
from scnas_deploy.export import half
from scnas_deploy.export.half import to_half
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.package import open_package
from scnas_deploy.networks.builder import build
from scnas_deploy.networks.genotype import PlainConvUNetArchitecture, UResNetArchitecture, whole_multiple
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from tests.small import SmallNetwork

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


@pytest.fixture(scope="module")
def exact(exported) -> bytes:
    """The network with every operation."""
    return open_package(exported.package).model


@pytest.fixture(scope="module")
def halved(exact):
    return onnx.shape_inference.infer_shapes(onnx.load_from_string(to_half(exact)), strict_mode=True)


def types_of(proto) -> dict[str, int]:
    graph = proto.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values} | {
        weight.name: weight.data_type for weight in graph.initializer
    }


def test_it_is_a_valid_network_from_a_float32_image_to_float32_logits(halved):
    onnx.checker.check_model(halved, full_check=True)
    types = types_of(halved)
    assert types["image"] == types["logits"] == FLOAT


def test_products_are_in_half_precision_and_norms_and_means_in_float32(halved):
    types = types_of(halved)
    seen = collections.defaultdict(set)
    for node in halved.graph.node:
        names = [name for name in (*node.input, *node.output) if name and types[name] in (FLOAT, HALF)]
        seen[node.op_type] |= {types[name] for name in (names[:1] if node.op_type == "Resize" else names)}
    assert seen.pop("Cast") == {FLOAT, HALF}
    assert {kind for kind, found in seen.items() if found == {FLOAT}} == {"InstanceNormalization", "AveragePool"}
    assert {kind for kind, found in seen.items() if found == {HALF}} >= {"Conv", "Add", "LeakyRelu", "Resize", "Concat"}
    assert all(len(found) == 1 for found in seen.values())


def test_casts_stand_only_where_the_precision_changes(halved):
    types = types_of(halved)
    casts = [node for node in halved.graph.node if node.op_type == "Cast"]
    assert all(types[node.input[0]] != types[node.output[0]] for node in casts)
    assert len({node.input[0] for node in casts}) == len(casts)  # no tensor is cast twice
    assert not {node.input[0] for node in casts} & {node.output[0] for node in casts}  # nor there and back
    used = {name for node in halved.graph.node for name in node.input} | {"logits"}
    assert {node.output[0] for node in casts} <= used
    norms = sum(node.op_type == "InstanceNormalization" for node in halved.graph.node)
    means = sum(node.op_type == "AveragePool" for node in halved.graph.node)
    assert len(casts) <= 2 * (norms + means) + 2


def test_nothing_else_is_changed(exact, halved):
    before = onnx.load_from_string(exact)
    kinds = [node.op_type for node in halved.graph.node if node.op_type != "Cast"]
    assert kinds == [node.op_type for node in before.graph.node]
    weights = {weight.name: onnx.numpy_helper.to_array(weight) for weight in before.graph.initializer}
    for weight in halved.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        source = weights[weight.name.removesuffix("_half")]
        np.testing.assert_array_equal(values, source.astype(values.dtype))
    assert {weight.name.removesuffix("_half") for weight in halved.graph.initializer} == weights.keys()


def test_the_same_network_gives_the_same_bytes(exact):
    assert to_half(exact) == to_half(exact)


def test_an_operator_that_nobody_has_looked_at_computes_in_float32():
    make = onnx.helper.make_node
    nodes = [make("Relu", ["image"], ["a"]), make("Exp", ["a"], ["b"]), make("Relu", ["b"], ["logits"])]
    tensors = [onnx.helper.make_tensor_value_info(name, FLOAT, [1, 1, 2, 2, 2]) for name in ("image", "logits")]
    graph = onnx.helper.make_graph(nodes, "g", tensors[:1], tensors[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    halved = onnx.load_from_string(to_half(model.SerializeToString()))
    kinds = [node.op_type for node in halved.graph.node]
    assert kinds == ["Cast", "Relu", "Cast", "Exp", "Cast", "Relu", "Cast"]


def test_an_operator_that_half_precision_does_not_fit_is_an_export_error(exact, monkeypatch):
    monkeypatch.setattr(half, "_FEW_INPUTS", {})  # the scales of a Resize are float32 in any case
    with pytest.raises(ExportError, match="half precision: expected a network of which each operator"):
        to_half(exact)


def test_volumes_of_any_multiple_stay_possible(phantom_plan):
    model = export_onnx(SmallNetwork(3).eval(), 1, (24, 24, 24), whole_multiple=2)
    exact, halved = OnnxRuntimeEngine(model), OnnxRuntimeEngine(to_half(model), precision="float16")
    for shape in ((2, 1, 24, 24, 24), (1, 1, 26, 16, 32)):
        assert_near(exact, halved, np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


def assert_near(exact, halved, patches):
    wanted, found = exact.run(patches), halved.run(patches)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()


RONASMIS = RonasmisArchitecture(
    patch_size=(32, 32, 32),
    strides=(2, 2, 2),
    dilations=(2, 1, 3),
    activation="elu",
    skips=(True,) * 6,
    dropped=(False,) * 4,
    stem_channels=8,
)
ARCHITECTURES = [RONASMIS, UResNetArchitecture(stem_channels=8), PlainConvUNetArchitecture(stem_channels=8)]


@pytest.mark.soak
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.kind)
def test_every_architecture_can_be_halved(architecture):
    network = build(architecture, in_channels=2, num_classes=3).eval()
    multiple = whole_multiple(architecture)
    model = export_onnx(network, 2, (32, 32, 32), multiple)
    exact, halved = OnnxRuntimeEngine(model), OnnxRuntimeEngine(to_half(model), precision="float16")
    rng = np.random.default_rng(0)
    for shape in [(32, 32, 32)] if multiple is None else [(32, 32, 32), (40, 32, 48)]:
        assert_near(exact, halved, rng.standard_normal((1, 2, *shape), dtype=np.float32))
