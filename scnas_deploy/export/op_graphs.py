"""Tiny ONNX graphs that repeat one part of a network, in the operators that the exporter writes for it.

Legend: B batch, C channels, X Y Z voxels in NIfTI order.
"""

from math import prod
from typing import Any

import numpy as np

from scnas_deploy.export.onnx import OPSET
from scnas_deploy.extras import require
from scnas_deploy.inference.manifest import INPUT, OUTPUT
from scnas_deploy.networks.costs import Place, grid_at, sum_place
from scnas_deploy.networks.genotype import ACTIVATED, DILATIONS, Operation
from scnas_deploy.types import Shape3


class OpGraph:
    """An ONNX graph from one channel to one channel, made node by node."""

    def __init__(self, grid: Shape3) -> None:
        self._onnx: Any = require("onnx", extra="export", purpose="measuring operations")
        self._grid = grid
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._rng = np.random.default_rng(0)

    def start(self, channels: int) -> str:
        """A state of so many channels, in the memory layout that the engine likes."""
        return self.norm(self.conv(INPUT, 1, channels, size=1), channels)

    def node(self, kind: str, inputs: list[str], *, results: int = 1, **attributes: Any) -> list[str]:
        """Add a node; returns the names of its results."""
        outputs = [f"v{len(self._nodes)}_{number}" for number in range(results)]
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def split(self, state: str, count: int) -> list[str]:
        """Channels in equal parts."""
        return self.node("Split", [state], results=count, axis=1, num_outputs=count) if count > 1 else [state]

    def activate(self, state: str) -> str:
        """LeakyReLU."""
        return self.node("LeakyRelu", [state], alpha=0.01)[0]

    def add(self, first: str, second: str) -> str:
        """Sum."""
        return self.node("Add", [first, second])[0]

    def norm(self, state: str, channels: int) -> str:
        """InstanceNorm."""
        scale, bias = self._constant(np.ones(channels)), self._constant(np.zeros(channels))
        return self.node("InstanceNormalization", [state, scale, bias], epsilon=1e-5)[0]

    def conv(
        self,
        state: str,
        in_channels: int,
        channels: int,
        *,
        size: int,
        stride: int = 1,
        dilation: int = 1,
        group: int = 1,
    ) -> str:
        """Convolution, padded to keep the grid where its size is odd."""
        shape = (channels, in_channels // group, size, size, size)
        weight = self._constant(self._rng.standard_normal(shape) / prod(shape[1:]) ** 0.5)
        padding = [size // 2 * dilation if size % 2 else 0] * 6
        options: dict[str, Any] = {"kernel_shape": [size] * 3, "strides": [stride] * 3, "dilations": [dilation] * 3}
        return self.node("Conv", [state, weight], pads=padding, group=group, **options)[0]

    def upsample(self, state: str) -> str:
        """Trilinear interpolation to twice the grid."""
        scales = self._constant(np.array([1, 1, 2, 2, 2]))
        half_pixel: dict[str, Any] = {"coordinate_transformation_mode": "half_pixel"}
        return self.node("Resize", [state, "", scales], mode="linear", **half_pixel)[0]

    def finish(self, state: str) -> bytes:
        """The ONNX file's bytes; the answer is the image plus the state's mean, one channel to read out."""
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        mean = self.node("ReduceMean", [self.node("GlobalAveragePool", [state])[0]])
        self._nodes.append(helper.make_node("Add", [INPUT, *mean], [OUTPUT]))
        image = helper.make_tensor_value_info(INPUT, kind, ["batch", 1, *self._grid])  # as exported
        logits = helper.make_tensor_value_info(OUTPUT, kind, None)
        graph = helper.make_graph(self._nodes, "part", [image], [logits], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        content: bytes = model.SerializeToString()
        return content

    def _constant(self, values: np.ndarray) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(values.astype(np.float32), name))
        return name


def repeated(place: Place, patch_size: Shape3, copies: int) -> bytes:
    """A graph that runs a part so many times.

    Where a part keeps grid and width, a copy reads the sum of the two states before and of the latest results, as in
    a chain of cells. Elsewhere a copy reads the state after one LeakyReLU more, so that an engine cannot take two for
    one, and all results are summed. :func:`company` says what a copy runs beside the part.
    """
    graph = OpGraph(grid_at(patch_size, place.from_level))
    state = graph.start(place.in_channels)
    if is_chain(place):
        oldest = before = state
        for _ in range(copies):
            source = graph.activate(state) if place.part in ACTIVATED else state
            results = [oldest] if place.part == "sum" else _run(graph, place, source)
            oldest, before, state = before, state, _sum(graph, [state, before, *results])
        return graph.finish(state)
    results = []
    for _ in range(copies):
        state = graph.activate(state)
        results += _run(graph, place, state)
    return graph.finish(_sum(graph, results))


def is_chain(place: Place) -> bool:
    """Whether a part writes what it could read."""
    return place.from_level == place.level and place.part != "projection"


def company(place: Place) -> tuple[list[Place], int]:
    """The activation, if any, that a copy runs beside its part; and its number of sums.

    The activation of a projection is its own. A copy of 'sum' is two of them.
    """
    if place.part == "projection":
        return [], 1
    activation = sum_place(place.from_level, place.in_channels).model_copy(update={"part": "activation"})
    active = place.part in ACTIVATED or not is_chain(place)
    return [activation] if active else [], place.count + int(is_chain(place))


def _run(graph: OpGraph, place: Place, state: str) -> list[str]:
    """One copy's results, each to be added to the sum."""
    part, channels = place.part, place.node_channels
    stride = 2 ** max(place.level - place.from_level, 0)
    if part == "activation":
        return [graph.activate(state)]
    if part == "projection":
        return [_project(graph, place, state)]
    if part is Operation.CONV:
        width = channels * place.count
        wide = graph.norm(graph.conv(state, channels, width, size=3, stride=stride), width)
        return graph.split(wide, place.count)
    dilation = DILATIONS.get(Operation(part))
    if dilation is not None:
        options = {"stride": stride, "dilation": dilation, "group": channels}
        deep = graph.conv(state, channels, channels, size=3, **options)
        return [graph.norm(graph.conv(deep, channels, channels, size=1), channels)]
    if part is Operation.IDENTITY:
        return graph.node("AveragePool", [state], kernel_shape=[2] * 3, strides=[2] * 3)
    kind = "MaxPool" if part is Operation.MAX_POOL else "AveragePool"
    pooled = graph.node(kind, [state], kernel_shape=[3] * 3, strides=[stride] * 3, pads=[1] * 6)
    return [graph.norm(pooled[0], channels)]


def _project(graph: OpGraph, place: Place, state: str) -> str:
    size = 2 ** max(place.level - place.from_level, 0)
    narrow = graph.conv(state, place.in_channels, place.node_channels, size=size, stride=size)
    narrow = graph.norm(narrow, place.node_channels)
    return narrow if place.level >= place.from_level else graph.upsample(narrow)


def _sum(graph: OpGraph, states: list[str]) -> str:
    total = states[0]
    for state in states[1:]:
        total = graph.add(total, state)
    return total
