"""The network that holds every operation of the space on every edge and executes those that were drawn.

Legend: B batch, C channels, X Y Z voxels in NIfTI order.
"""

import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from scnas_deploy.networks import kernels
from scnas_deploy.networks.cells import CellPlace
from scnas_deploy.networks.chain import UChain
from scnas_deploy.networks.genotype import ACTIVATED, EDGES, NUM_INPUTS, NUM_NODES, CellType, Operation
from scnas_deploy.networks.operations import NEGATIVE_SLOPE, make_operation
from scnas_deploy.search.sampling import CellDraw, EdgeDraw


class MixedGraph(nn.Module):
    """A cell's graph with all operations on each edge; node j sums the weighted operations drawn."""

    def __init__(self, operations: Sequence[Operation], place: CellPlace) -> None:
        super().__init__()
        self._operations = tuple(operations)
        self._stride_of_inputs = place.edge_stride(0)
        self.edges = nn.ModuleList(
            nn.ModuleList(
                make_operation(operation, place.node_channels, place.edge_stride(source)) for operation in operations
            )
            for source, _ in EDGES
        )

    def forward(self, input_0: Tensor, input_1: Tensor, draw: CellDraw) -> Tensor:
        """Run the drawn operations and concatenate the nodes."""
        states = [_State(input_0), _State(input_1)]
        contributions: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(NUM_NODES)]
        for (source, node), edge_draw, operations in zip(EDGES, draw, self.edges, strict=True):
            if node == len(states) - NUM_INPUTS + 1:
                states.append(_State(self._sum(contributions[node - 1], input_0)))
            contributions[node] += self._run_edge(states[source], edge_draw, operations)  # type: ignore[arg-type]
        nodes = [state.value for state in states[NUM_INPUTS:]]
        return kernels.concatenate([*nodes, self._sum(contributions[-1], input_0)])

    def _run_edge(self, state: "_State", draw: EdgeDraw, operations: nn.ModuleList) -> list[tuple[Tensor, Tensor]]:
        """Results and weights of the operations drawn; of zero, nothing is computed."""
        drawn = [
            (self._operations[index], index, weight)
            for index, weight in zip(draw.operations, draw.weights, strict=True)
        ]
        return [
            (operations[index](state.activated if operation in ACTIVATED else state.value), weight)
            for operation, index, weight in drawn
            if operation is not Operation.ZERO
        ]

    def _sum(self, contributions: list[tuple[Tensor, Tensor]], graph_input: Tensor) -> Tensor:
        if contributions:
            results, weights = zip(*contributions, strict=True)
            return kernels.weighted_sum(results, weights)
        step = self._stride_of_inputs
        return torch.zeros_like(graph_input[..., ::step, ::step, ::step])


class _State:
    """A tensor whose activation is computed once, when a convolution first asks for it."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    @functools.cached_property
    def activated(self) -> Tensor:
        return leaky_relu(self.value, NEGATIVE_SLOPE)


class Supernet(nn.Module):
    """The chain of mixed cells.

    Args:
        operations: The space.
        in_channels: Channels of the image.
        num_classes: Classes of the answer.
        stem_channels: Width at full resolution.
        checkpointing: Keep only the cells' inputs for the gradients and compute each cell again.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        *,
        in_channels: int,
        num_classes: int,
        stem_channels: int,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.chain = UChain(
            lambda place: MixedGraph(operations, place),
            in_channels=in_channels,
            num_classes=num_classes,
            stem_channels=stem_channels,
        )
        self.chain.checkpointing = checkpointing

    def forward(self, x_BCXYZ: Tensor, draws: Mapping[CellType, CellDraw]) -> Tensor:
        """Return logits (B, K, X, Y, Z) of the drawn operations; cells of one type share their draw."""
        return self.chain.run(x_BCXYZ, lambda cell, older, newer: cell.graph(older, newer, draws[cell.place.cell_type]))
