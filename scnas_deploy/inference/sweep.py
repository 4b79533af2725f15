"""In which order a volume's patches are computed, and how much of the volume is under way at a time.

Legend: K classes, P patches along one axis, X Y Z voxels in NIfTI order.

Patches are swept along the longest axis, so that only one patch's depth of logits is held. Where even that is too
much, the cross-section is cut into columns that are swept one after the other; patches that reach into two columns
are then computed for both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

import numpy as np

from scnas_deploy.inference.boxes import Box, size_of, with_part
from scnas_deploy.inference.tiling import AxisTiling, TilingConfig, tile_axis
from scnas_deploy.types import Shape3

_LOGIT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch, for one column."""

    box: Box
    """Where it lies in the volume."""
    weights: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Its weight along X, Y and Z."""
    column: int
    """Number of the column that it is computed for."""
    row: int
    """Its place along the swept axis."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """All patches of a volume in the order in which they are computed."""

    shape: Shape3
    axes: tuple[AxisTiling, AxisTiling, AxisTiling]
    axis: int
    """The one that is swept."""
    columns: tuple[Box, ...]
    """Parts of the cross-section, each of the volume's whole length along the swept axis."""

    @property
    def depth(self) -> int:
        """Voxels of a patch along the swept axis."""
        return int(self.axes[self.axis].weights_PN.shape[1])

    @property
    def num_patches(self) -> int:
        """How many patches are computed, those for two columns counted twice."""
        return sum(prod(len(places) for places in self._touching(column)) for column in self.columns)

    def slab_bytes(self, num_classes: int) -> int:
        """Memory of the logits that are under way."""
        slabs = (with_part(column, self.axis, slice(0, self.depth)) for column in self.columns)
        return _LOGIT_BYTES * num_classes * max(prod(size_of(slab)) for slab in slabs)

    def rows(self) -> list[slice]:
        """For each row of patches along the swept axis, the planes that no later row touches."""
        starts = self.axes[self.axis].starts
        return [slice(first, following) for first, following in pairwise((*starts, self.shape[self.axis]))]

    def patches(self) -> Iterator[Patch]:
        """The patches, column by column and row by row."""
        for number, column in enumerate(self.columns):
            touching = self._touching(column)
            for row in touching[self.axis]:
                places = [[row] if axis == self.axis else places for axis, places in enumerate(touching)]
                for x, y, z in product(*places):
                    yield self._patch((x, y, z), number, row)

    def _touching(self, column: Box) -> list[list[int]]:
        """For each axis the patches that reach into the column."""
        return [
            [place for place, start in enumerate(tiling.starts) if start < part.stop and start + size > part.start]
            for tiling, part in zip(self.axes, column, strict=True)
            for size in [tiling.weights_PN.shape[1]]
        ]

    def _patch(self, place: Shape3, column: int, row: int) -> Patch:
        x, y, z = (
            slice(tiling.starts[index], tiling.starts[index] + tiling.weights_PN.shape[1])
            for tiling, index in zip(self.axes, place, strict=True)
        )
        wx, wy, wz = (tiling.weights_PN[index] for tiling, index in zip(self.axes, place, strict=True))
        return Patch((x, y, z), (wx, wy, wz), column, row)


def sweeps(shape: Shape3, tiling: TilingConfig) -> list[Sweep]:
    """All ways to sweep a volume, the one with the fewest patches first: from one column to the narrowest ones.

    Args:
        shape: Of the volume, no smaller than the patch.
        tiling: Patch size and overlap.
    """
    x, y, z = (tile_axis(n, patch, tiling) for n, patch in zip(shape, tiling.patch_size, strict=True))
    axes = (x, y, z)
    axis = int(np.argmax(shape))
    cuts = [
        [[slice(0, shape[number])]] if number == axis else _cuts(axes[number], shape[number]) for number in range(3)
    ]
    found = [Sweep(shape, axes, axis, tuple((x, y, z) for x, y, z in product(*parts))) for parts in product(*cuts)]
    return sorted(found, key=lambda sweep: (sweep.num_patches, sweep.slab_bytes(1)))


def _cuts(tiling: AxisTiling, size: int) -> list[list[slice]]:
    """The axis in one part, two parts and so on, cut where patches start."""
    count = len(tiling.starts)
    cuts = []
    for parts in range(1, count + 1):
        bounds = [tiling.starts[count * part // parts] for part in range(parts)]
        cuts.append([slice(first, following) for first, following in pairwise((*bounds, size))])
    return cuts
