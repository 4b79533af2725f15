"""The U-shaped chain of 12 cells that the supernet and every built network share.

Legend: B batch, C channels, K classes, X Y Z voxels in NIfTI order.

Kim et al. 2019 (arXiv 1906.05956), section 2: a stem, three reduction/encoder pairs, three
expansion/decoder pairs and an output convolution; every cell takes the outputs of the two cells before it;
reduction doubles and expansion halves the channels.

Ours to choose, since the paper is silent:

* Each cell input is brought to the node width and the cell's level by LeakyReLU-Conv-InstanceNorm: 1x1x1
  where it has the level, 2x2x2 at stride two where it is one level finer, and 1x1x1 followed by trilinear
  upsampling where it is one coarser.
* The sum with the encoder cell of the same level is taken once a level, on what enters the decoder cell.
  At full resolution, which has no encoder cell, the stem takes its place.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from scnas_deploy.networks.cells import CellPlace
from scnas_deploy.networks.genotype import LAYOUT, NUM_NODES, CellType
from scnas_deploy.networks.operations import ConvNorm, activation

GraphFactory = Callable[[CellPlace], nn.Module]
"""Makes a cell's graph: it takes the two projected inputs and answers the concatenated nodes."""

GraphCall = Callable[["Cell", Tensor, Tensor], Tensor]
"""Runs a cell's graph on its projected inputs."""


class InputProjection(nn.Sequential):
    """Bring a state to the node width, and from its own level to the one at which the graph starts."""

    def __init__(self, in_channels: int, out_channels: int, *, from_level: int, to_level: int) -> None:
        size = 2 ** max(to_level - from_level, 0)
        layers = [activation(), ConvNorm(in_channels, out_channels, kernel_size=size, stride=size)]
        if from_level > to_level:
            factor = float(2 ** (from_level - to_level))
            layers.append(nn.Upsample(scale_factor=factor, mode="trilinear", align_corners=False))
        super().__init__(*layers)


class Cell(nn.Module):
    """Two input projections and a graph."""

    def __init__(self, place: CellPlace, inputs: tuple[tuple[int, int], tuple[int, int]], graph: nn.Module) -> None:
        """``inputs``: (channels, level) of the two states before this cell, the older first."""
        super().__init__()
        self.place = place
        start = place.level - 1 if place.cell_type is CellType.REDUCTION else place.level
        self.projections = nn.ModuleList(
            InputProjection(channels, place.node_channels, from_level=level, to_level=start)
            for channels, level in inputs
        )
        self.graph = graph

    def forward(self, older: Tensor, newer: Tensor, run_graph: GraphCall) -> Tensor:
        """Project both states and run the graph."""
        return run_graph(self, self.projections[0](older), self.projections[1](newer))


class UChain(nn.Module):
    """Stem, 12 cells and head; what a cell computes comes from the factory."""

    def __init__(self, make_graph: GraphFactory, *, in_channels: int, num_classes: int, stem_channels: int) -> None:
        super().__init__()
        self.stem = ConvNorm(in_channels, stem_channels)
        self.cells = nn.ModuleList(_make_cells(make_graph, stem_channels))
        self.head = nn.Sequential(activation(), nn.Conv3d(stem_channels, num_classes, 1))
        self.checkpointing = False
        self.apply(_initialise)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """Return logits (B, K, X, Y, Z); X, Y and Z are multiples of eight."""
        return self.run(x_BCXYZ, lambda cell, older, newer: cell.graph(older, newer))

    def run(self, x_BCXYZ: Tensor, run_graph: GraphCall) -> Tensor:
        """Run the chain with another way of running the graphs.

        With :attr:`checkpointing`, a cell keeps only its inputs for the gradients and is computed once more when they
        are taken: less memory for more time, the same numbers. Not for export or inference, which take no gradients.

        Reference:
            Chen et al. 2016, arXiv 1604.06174.
        """
        state = self.stem(x_BCXYZ)
        older, newer = state, state
        skips = {0: state}
        for cell in self.cells:
            assert isinstance(cell, Cell)
            place = cell.place
            if place.cell_type is CellType.DECODER:
                newer = newer + skips[place.level]
            older, newer = newer, self._run_cell(cell, older, newer, run_graph)
            if place.cell_type is CellType.ENCODER:
                skips[place.level] = newer
        return self.head(newer)  # type: ignore[no-any-return]

    def _run_cell(self, cell: Cell, older: Tensor, newer: Tensor, run_graph: GraphCall) -> Tensor:
        if not (self.checkpointing and torch.is_grad_enabled()):
            return cell(older, newer, run_graph)  # type: ignore[no-any-return]
        arguments = (cell, older, newer, run_graph)
        return checkpoint(*arguments, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]


def _make_cells(make_graph: GraphFactory, stem_channels: int) -> list[Cell]:
    cells = []
    level = 0
    older = newer = (stem_channels, 0)
    for cell_type in LAYOUT:
        level += {CellType.REDUCTION: 1, CellType.EXPANSION: -1}.get(cell_type, 0)
        width = stem_channels * 2**level
        place = CellPlace(cell_type, level, width // NUM_NODES)
        cells.append(Cell(place, (older, newer), make_graph(place)))
        older, newer = newer, (width, level)
    return cells


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, a=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
