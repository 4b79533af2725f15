"""Expected peak of the activations in memory, differentiable with respect to the probabilities of the operations.

Legend: T cell types, E edges of a cell, O operations of the space; further axes may stand before them.

An estimate for the search to descend; :func:`scnas_deploy.networks.complexity.peak_activation_bytes` counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from scnas_deploy.networks.costs import grid_at
from scnas_deploy.networks.genotype import (
    DILATIONS,
    EDGES,
    LAYOUT,
    NUM_INPUTS,
    NUM_NODES,
    PARAMETER_FREE,
    CellType,
    Operation,
)
from scnas_deploy.search.expected_cost import any_of
from scnas_deploy.types import Shape3

BYTES = 4
"""Of a float32."""


@dataclass(frozen=True, slots=True)
class _Station:
    """A cell of the chain, and what is in memory around its nodes."""

    cell_type: CellType
    read: int
    """Bytes of one node's width on the grid that the cell's inputs have."""
    written: int
    """Bytes of one node."""
    kept: int
    """Bytes of the patch, of the states that are needed later, and of the cell's two projected inputs."""


class ExpectedPeakBytes:
    """The most that is in memory while one patch passes, with the expected number of results of every state.

    Args:
        operations: The space, in the order of the last axis.
        stem_channels: Width of the network.
        in_channels: Channels of the patch.
        patch_size: Voxels along X, Y, Z.
    """

    def __init__(
        self, operations: Sequence[Operation], stem_channels: int, *, in_channels: int, patch_size: Shape3
    ) -> None:
        self._operations = tuple(operations)
        patch = BYTES * in_channels * prod(patch_size)
        self._stations = tuple(_stations(stem_channels, patch, patch_size))

    def __call__(self, probability_TEO: Tensor) -> Tensor:
        """Return the expected peak in bytes, one number for all of T, E and O."""
        moments = [
            self._moment(station, probability_TEO[..., list(CellType).index(station.cell_type), :, :], source)
            for station in self._stations
            for source in range(NUM_INPUTS + NUM_NODES)
        ]
        return torch.stack(moments, dim=-1).amax(-1)

    def _moment(self, station: _Station, probability_EO: Tensor, source: int) -> Tensor:
        """Bytes while the edges of one state are computed; after the last state, while nodes are concatenated."""
        nodes = self._nodes_begun(probability_EO, source)
        edges = [edge for edge, (state, _) in enumerate(EDGES) if state == source]
        if not edges:  # a node without edges is zeros
            return torch.full_like(nodes, station.kept + station.written * 2 * NUM_NODES)
        chosen = {op: probability_EO[..., edges, index] for index, op in enumerate(self._operations)}
        none = torch.zeros_like(probability_EO[..., 0, 0])
        dense = chosen[Operation.CONV].sum(-1) if Operation.CONV in chosen else none
        separable = sum((chosen[op].sum(-1) for op in DILATIONS if op in chosen), none)
        free = sum((any_of(chosen[op]) for op in PARAMETER_FREE if op in chosen), none)
        active = torch.clamp(dense + separable, max=1)
        read = station.read if source < NUM_INPUTS else station.written
        # The norm of the dense ones reads and writes; then all results, the last one's input still there.
        results = torch.maximum(2 * dense, dense + separable + free + torch.clamp(separable + free, max=1))
        return station.kept + read * active + station.written * (nodes + results)

    def _nodes_begun(self, probability_EO: Tensor, source: int) -> Tensor:
        """Expected number of nodes that an earlier state has an edge to."""
        begun = torch.zeros_like(probability_EO[..., 0, 0])
        for node in range(NUM_NODES):
            edges = [edge for edge, (state, target) in enumerate(EDGES) if target == node and state < source]
            if edges and Operation.ZERO in self._operations:
                begun = begun + any_of(1 - probability_EO[..., edges, self._operations.index(Operation.ZERO)])
            else:
                begun = begun + bool(edges)
        return begun


def _stations(stem_channels: int, patch: int, patch_size: Shape3) -> Iterator[_Station]:
    def state(level: int) -> int:
        return BYTES * (stem_channels << level) * prod(grid_at(patch_size, level))

    level, skips = 0, [0]
    latest: list[int | None] = [None, None]  # levels of the two latest states, None where a skip keeps them anyway
    for cell_type in LAYOUT:
        level += {CellType.REDUCTION: 1, CellType.EXPANSION: -1}.get(cell_type, 0)
        node, reduces = state(level) // NUM_NODES, cell_type is CellType.REDUCTION
        read = node * (8 if reduces else 1)
        kept = patch + sum(state(each) for each in (*skips, *latest) if each is not None)
        yield _Station(cell_type, read, node, kept + 2 * read)
        latest = [latest[1], None if cell_type is CellType.ENCODER else level]
        if cell_type is CellType.ENCODER:
            skips.append(level)
