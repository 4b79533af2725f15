"""Multiply-accumulates of an ONNX network's nodes, by hand and against PyTorch's counting."""

import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.engine_profile import shipped
from benchmarks.onnx_layers import Kind, layers_of
from benchmarks.sliding_window import SHIPPED
from scnas_deploy.inference.package import open_package

BATCH_OPEN = ["batch", 4, 8, 8, 8]


def network(op_type: str, weight: tuple[int, ...], **attributes) -> bytes:
    """A graph of one convolution of a patch of 4 channels and 8^3 voxels, and a LeakyReLU."""
    kernel = helper.make_tensor("weight", TensorProto.FLOAT, weight, [0.0] * (weight[0] * weight[1] * weight[2] ** 3))
    nodes = [
        helper.make_node(op_type, ["image", "weight"], ["result"], name="the_convolution", **attributes),
        helper.make_node("LeakyRelu", ["result"], ["logits"], name="the_activation"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, BATCH_OPEN)
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", [image], [logits], [kernel])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()


PADDED = {"pads": [1] * 6}


@pytest.mark.parametrize(
    ("op_type", "weight", "attributes", "kind", "macs", "out_channels"),
    [
        ("Conv", (6, 4, 3, 3, 3), PADDED, Kind.DENSE, 6 * 4 * 27 * 512, 6),
        ("Conv", (6, 4, 3, 3, 3), {**PADDED, "strides": [2, 2, 2]}, Kind.DENSE, 6 * 4 * 27 * 64, 6),
        ("Conv", (6, 4, 1, 1, 1), {}, Kind.POINTWISE, 6 * 4 * 512, 6),
        ("Conv", (4, 1, 3, 3, 3), {**PADDED, "group": 4}, Kind.DEPTHWISE, 4 * 27 * 512, 4),
        ("ConvTranspose", (4, 6, 2, 2, 2), {"strides": [2, 2, 2]}, Kind.TRANSPOSED, 4 * 6 * 8 * 512, 6),
    ],
)
def test_a_convolution_is_counted_by_its_kind(op_type, weight, attributes, kind, macs, out_channels):
    layers = layers_of(network(op_type, weight, **attributes))
    layer = layers["the_convolution"]
    assert (layer.kind, layer.in_channels, layer.out_channels) == (kind, 4, out_channels)
    assert layer.gmacs == pytest.approx(macs / 1e9)
    assert layers["result"] == layer
    assert layers["the_activation"].kind is Kind.ELEMENTWISE
    assert layers["the_activation"].gmacs == 0


def test_the_shipped_networks_layers_come_to_what_its_genotype_says():
    network, genotype = shipped(), open_package(SHIPPED).genotype
    layers = {layer.name: layer for layer in layers_of(network.model).values()}
    assert len(layers) == len(onnx.load_from_string(network.model).graph.node)
    assert sum(layer.gmacs for layer in layers.values()) == pytest.approx(genotype.gmacs, abs=1e-3)
    assert Kind.OTHER not in {layer.kind for layer in layers.values()}
