"""The supernet as one writes it first: PyTorch's layers edge by edge, in the default memory layout.

The same space, wiring and parameters as `scnas_deploy.search.supernet`, so that weights can be copied across by
position; it too executes only what was drawn. The other side of `benchmarks/train_step.py`.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from scnas_deploy.networks.genotype import EDGES, LAYOUT, CellType, Operation

DILATIONS = {Operation.SEPARABLE_2: 2, Operation.SEPARABLE_3: 3, Operation.SEPARABLE_4: 4}


def make_operation(operation: Operation, channels: int, stride: int) -> nn.Module:
    if operation is Operation.CONV:
        conv = nn.Conv3d(channels, channels, 3, stride, 1, bias=False)
        return nn.Sequential(nn.LeakyReLU(0.01), conv, nn.InstanceNorm3d(channels, affine=True))
    if operation in DILATIONS:
        d = DILATIONS[operation]
        return nn.Sequential(
            nn.LeakyReLU(0.01),
            nn.Conv3d(channels, channels, 3, stride, d, d, groups=channels, bias=False),
            nn.Conv3d(channels, channels, 1, bias=False),
            nn.InstanceNorm3d(channels, affine=True),
        )
    if operation is Operation.MAX_POOL:
        return nn.Sequential(nn.MaxPool3d(3, stride, 1), nn.InstanceNorm3d(channels))
    if operation is Operation.AVERAGE_POOL:
        return nn.Sequential(nn.AvgPool3d(3, stride, 1, count_include_pad=False), nn.InstanceNorm3d(channels))
    return nn.Identity() if stride == 1 else nn.AvgPool3d(2)  # of zero, nothing is executed


class Cell(nn.Module):
    def __init__(self, cell_type: CellType, level: int, width: int, inputs: list[tuple[int, int]]) -> None:
        super().__init__()
        self.cell_type, self.reduces = cell_type, cell_type is CellType.REDUCTION
        self.node_channels = channels = width // 4
        start = level - 1 if self.reduces else level
        self.projections = nn.ModuleList()
        self.upsample = []
        for in_channels, in_level in inputs:
            size = 2 ** max(start - in_level, 0)
            conv = nn.Conv3d(in_channels, channels, size, size, bias=False)
            self.projections.append(nn.Sequential(nn.LeakyReLU(0.01), conv, nn.InstanceNorm3d(channels, affine=True)))
            self.upsample.append(2 ** max(in_level - start, 0))
        self.edges = nn.ModuleList(
            nn.ModuleList(
                make_operation(operation, channels, 2 if self.reduces and source < 2 else 1) for operation in Operation
            )
            for source, _ in EDGES
        )

    def forward(self, older: Tensor, newer: Tensor, draw: tuple) -> Tensor:
        states = []
        for x, projection, factor in zip((older, newer), self.projections, self.upsample, strict=True):
            y = projection(x)
            states.append(interpolate(y, scale_factor=float(factor), mode="trilinear") if factor > 1 else y)
        nodes: list[Tensor] = []
        for node in range(4):
            total = None
            for edge, (source, target) in enumerate(EDGES):
                if target != node:
                    continue
                for index, weight in zip(draw[edge].operations, draw[edge].weights, strict=True):
                    if tuple(Operation)[index] is not Operation.ZERO:
                        y = self.edges[edge][index](states[source]) * weight
                        total = y if total is None else total + y
            if total is None:
                step = 2 if self.reduces else 1
                total = torch.zeros_like(states[0][..., ::step, ::step, ::step])
            nodes.append(total)
            states.append(total)
        return torch.cat(nodes, dim=1)


class NaiveSupernet(nn.Module):
    def __init__(self, *, in_channels: int, num_classes: int, stem_channels: int) -> None:
        super().__init__()
        conv = nn.Conv3d(in_channels, stem_channels, 3, 1, 1, bias=False)
        self.stem = nn.Sequential(conv, nn.InstanceNorm3d(stem_channels, affine=True))
        self.cells = nn.ModuleList()
        level, older, newer = 0, (stem_channels, 0), (stem_channels, 0)
        for cell_type in LAYOUT:
            level += {CellType.REDUCTION: 1, CellType.EXPANSION: -1}.get(cell_type, 0)
            width = stem_channels * 2**level
            self.cells.append(Cell(cell_type, level, width, [older, newer]))
            older, newer = newer, (width, level)
        self.head = nn.Sequential(nn.LeakyReLU(0.01), nn.Conv3d(stem_channels, num_classes, 1))

    def forward(self, x: Tensor, draws: dict) -> Tensor:
        newer = older = self.stem(x)
        skips = {newer.shape[-1]: newer}
        for cell in self.cells:
            if cell.cell_type is CellType.DECODER:
                newer = newer + skips[newer.shape[-1]]
            older, newer = newer, cell(older, newer, draws[cell.cell_type])
            if cell.cell_type is CellType.ENCODER:
                skips[newer.shape[-1]] = newer
        return self.head(newer)
