"""A found cell computes the sum over its edges, however few passes it takes."""

import random

import pytest
import torch
from torch.nn.functional import instance_norm, leaky_relu

from scnas_deploy.networks.cells import CellPlace, FixedGraph
from scnas_deploy.networks.genotype import EDGES, CellType, Operation, is_connected

CHANNELS = 4


def naive_cell(graph: FixedGraph, cell: tuple[Operation, ...], place: CellPlace, inputs: list) -> torch.Tensor:
    """The paper's definition edge by edge, with the graph's own weights."""
    states = list(inputs)
    for node in range(4):
        total = None
        for operation, (source, target) in zip(cell, EDGES, strict=True):
            if target != node or operation is Operation.ZERO:
                continue
            value = edge(graph.fans[source], operation, node, states[source], place.edge_stride(source))
            total = value if total is None else total + value
        size = [n // place.edge_stride(0) for n in inputs[0].shape[2:]]
        states.append(torch.zeros(*inputs[0].shape[:2], *size) if total is None else total)
    return torch.cat(states[2:], dim=1)


def edge(fan, operation, node, state, stride):
    if operation is Operation.CONV:
        part = fan.conv_nodes.index(node)
        channels = slice(part * CHANNELS, (part + 1) * CHANNELS)
        weight, bias = fan.conv.norm.weight[channels], fan.conv.norm.bias[channels]
        convolved = torch.conv3d(leaky_relu(state, 0.01), fan.conv.conv.weight[channels], stride=stride, padding=1)
        return instance_norm(convolved, weight=weight, bias=bias)
    if node in fan.separable_nodes:
        return fan.separable[fan.separable_nodes.index(node)](leaky_relu(state, 0.01))
    position = next(index for index, nodes in enumerate(fan.free_nodes) if node in nodes)
    return fan.free[position](state)


@pytest.mark.parametrize("cell_type", [CellType.REDUCTION, CellType.ENCODER])
@pytest.mark.parametrize("seed", range(8))
def test_the_graph_equals_the_definition_edge_by_edge(cell_type, seed):
    rng = random.Random(seed)
    cell = tuple(rng.choice(list(Operation)) for _ in EDGES)
    place = CellPlace(cell_type, 1, CHANNELS)
    torch.manual_seed(seed)
    graph = FixedGraph(cell, place)
    for parameter in graph.parameters():
        torch.nn.init.normal_(parameter)
    inputs = [torch.randn(2, CHANNELS, 8, 8, 16) for _ in range(2)]
    assert is_connected(cell)
    torch.testing.assert_close(graph(*inputs), naive_cell(graph, cell, place, inputs), rtol=1e-4, atol=1e-4)


def test_a_node_that_no_edge_reaches_is_zero():
    cell = tuple(Operation.CONV if node == 2 else Operation.ZERO for _, node in EDGES)
    result = FixedGraph(cell, CellPlace(CellType.REDUCTION, 1, CHANNELS))(*torch.randn(2, 1, CHANNELS, 8, 8, 8))
    assert result.shape == (1, 16, 4, 4, 4)
    assert not result[:, :8].any()
    assert result[:, 8:12].any()
    assert not result[:, 12:].any()


def test_dense_convolutions_of_one_state_are_one_convolution_and_pools_run_once():
    cell = tuple(Operation.CONV if source == 0 else Operation.MAX_POOL for source, _ in EDGES)
    graph = FixedGraph(cell, CellPlace(CellType.ENCODER, 1, CHANNELS))
    assert graph.fans[0].conv.conv.out_channels == 4 * CHANNELS
    assert len(graph.fans[1].free) == 1
