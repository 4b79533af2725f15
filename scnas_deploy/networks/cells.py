"""A cell's graph with one operation an edge, computed with as few passes over the voxels as possible.

Legend: B batch, C channels, X Y Z voxels in NIfTI order.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from scnas_deploy.networks import kernels
from scnas_deploy.networks.genotype import DILATIONS, EDGES, NUM_INPUTS, NUM_NODES, PARAMETER_FREE, CellType, Operation
from scnas_deploy.networks.operations import NEGATIVE_SLOPE, ConvNorm, make_operation


@dataclass(frozen=True, slots=True)
class CellPlace:
    """Where a cell stands in the chain."""

    cell_type: CellType
    level: int
    """Resolution of the cell's output: 0 is full, each level halves it."""
    node_channels: int
    """Width of a node, a quarter of the cell's width stem_channels * 2^level."""

    def edge_stride(self, source: int) -> int:
        """Stride of an edge: two from the inputs of a reduction cell, one elsewhere (PAPER: SCNAS, section 2)."""
        return 2 if self.cell_type is CellType.REDUCTION and source < NUM_INPUTS else 1


class Fan(nn.Module):
    """All edges that leave one state.

    Dense convolutions are one wider convolution (few channels leave a vector unit half empty), parameter-free
    operations run once for all the nodes they feed, and the LeakyReLU runs once.
    """

    def __init__(self, outgoing: list[tuple[int, Operation]], channels: int, stride: int) -> None:
        super().__init__()
        self.conv_nodes = [node for node, operation in outgoing if operation is Operation.CONV]
        self.conv = ConvNorm(channels, channels * len(self.conv_nodes), stride=stride) if self.conv_nodes else None
        separable = [(node, operation) for node, operation in outgoing if operation in DILATIONS]
        self.separable_nodes = [node for node, _ in separable]
        self.separable = nn.ModuleList(make_operation(operation, channels, stride) for _, operation in separable)
        free = sorted({operation for _, operation in outgoing if operation in PARAMETER_FREE})
        self.free_nodes = [[node for node, other in outgoing if other is operation] for operation in free]
        self.free = nn.ModuleList(make_operation(operation, channels, stride) for operation in free)

    def forward(self, state_BCXYZ: Tensor) -> list[tuple[int, Tensor]]:
        """Return (node, contribution) for each edge."""
        contributions: list[tuple[int, Tensor]] = []
        if self.conv is not None or len(self.separable):
            activated = leaky_relu(state_BCXYZ, NEGATIVE_SLOPE)
            if self.conv is not None:
                parts = self.conv(activated).chunk(len(self.conv_nodes), dim=1)
                contributions += zip(self.conv_nodes, parts, strict=True)
            contributions += [(n, op(activated)) for n, op in zip(self.separable_nodes, self.separable, strict=True)]
        for nodes, operation in zip(self.free_nodes, self.free, strict=True):
            result = operation(state_BCXYZ)
            contributions += [(node, result) for node in nodes]
        return contributions


class FixedGraph(nn.Module):
    """The graph of a found cell: node j is the sum of its edges, the answer all nodes side by side."""

    def __init__(self, cell: tuple[Operation, ...], place: CellPlace) -> None:
        super().__init__()
        outgoing: list[list[tuple[int, Operation]]] = [[] for _ in range(NUM_INPUTS + NUM_NODES)]
        for operation, (source, node) in zip(cell, EDGES, strict=True):
            outgoing[source].append((node, operation))
        self.fans = nn.ModuleList(
            Fan(edges, place.node_channels, place.edge_stride(source)) for source, edges in enumerate(outgoing)
        )

    def forward(self, input_0: Tensor, input_1: Tensor) -> Tensor:
        """Compute the nodes in order and concatenate them."""
        sums: dict[int, Tensor] = {}
        for source, fan in enumerate(self.fans):
            if source < NUM_INPUTS:
                state = (input_0, input_1)[source]
            else:
                state = sums.setdefault(source - NUM_INPUTS, _zeros_like_any(sums))
            for node, contribution in fan(state):
                sums[node] = sums[node] + contribution if node in sums else contribution
        return kernels.concatenate([sums[node] for node in range(NUM_NODES)])


def _zeros_like_any(sums: dict[int, Tensor]) -> Tensor:
    """The value of a node that no edge reaches; some other node lives, or the genotype were refused."""
    return torch.zeros_like(next(iter(sums.values())))
