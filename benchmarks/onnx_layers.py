"""What the nodes of an ONNX network are: their kind, and what they multiply and accumulate."""

from dataclasses import dataclass
from enum import StrEnum
from math import prod

import onnx
from onnx import shape_inference

from scnas_deploy.types import Shape3


class Kind(StrEnum):
    """What a node does. Engines fuse nodes; the fused one is of the first of these kinds that is in it."""

    DENSE = "dense convolution"
    TRANSPOSED = "transposed convolution"
    POINTWISE = "1x1x1 convolution"
    DEPTHWISE = "depthwise convolution"
    NORM = "instance norm"
    RESIZE = "resize"
    POOL = "pooling"
    ELEMENTWISE = "element-wise"
    COPY = "copies and reorders"
    OTHER = "other"


CONVOLUTIONS = (Kind.DENSE, Kind.TRANSPOSED, Kind.POINTWISE, Kind.DEPTHWISE)

_KINDS = {
    "InstanceNormalization": Kind.NORM,
    "Resize": Kind.RESIZE,
    "AveragePool": Kind.POOL,
    "MaxPool": Kind.POOL,
    "Add": Kind.ELEMENTWISE,
    "LeakyRelu": Kind.ELEMENTWISE,
    "Relu": Kind.ELEMENTWISE,
    "Mul": Kind.ELEMENTWISE,
    "Concat": Kind.COPY,
    "Split": Kind.COPY,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A node of the network."""

    name: str
    kind: Kind
    gmacs: float = 0.0
    """Multiply-accumulates for one patch, in 10^9."""
    in_channels: int = 0
    out_channels: int = 0
    grid: Shape3 = (0, 0, 0)
    """Voxels that are written, for convolutions."""


def layers_of(model: bytes) -> dict[str, Layer]:
    """What the nodes are, for one patch, by their names and by those of their results: engines use both."""
    network = onnx.load_from_string(model)
    network.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1  # the exporter leaves the batch open
    del network.graph.value_info[:]
    graph = shape_inference.infer_shapes(network, strict_mode=True, data_prop=True).graph
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    shapes |= {weight.name: tuple(weight.dims) for weight in graph.initializer}
    layers = [(node, _layer(node, shapes)) for node in graph.node]
    return {name: layer for node, layer in layers for name in (node.name, *node.output)}


def _layer(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> Layer:
    if node.op_type not in ("Conv", "ConvTranspose"):
        return Layer(name=node.name, kind=_KINDS.get(node.op_type, Kind.OTHER))
    read, weight, written = shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]
    transposed = node.op_type == "ConvTranspose"
    macs = prod(weight[1:]) * (prod(read) if transposed else prod(written))
    x, y, z = written[2:]
    return Layer(
        name=node.name,
        kind=Kind.TRANSPOSED if transposed else _kind_of_convolution(node, weight),
        gmacs=macs / 1e9,
        in_channels=read[1],
        out_channels=written[1],
        grid=(x, y, z),
    )


def _kind_of_convolution(node: onnx.NodeProto, weight: tuple[int, ...]) -> Kind:
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    if groups > 1:
        return Kind.DEPTHWISE
    return Kind.POINTWISE if prod(weight[2:]) == 1 else Kind.DENSE


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
