"""Where a study holds anything at all.

Legend: C channels, X Y Z voxels in NIfTI order.
"""

from itertools import pairwise
from math import ceil, floor
from typing import Final

import numpy as np

from scnas_deploy.data.preprocess import WayBack
from scnas_deploy.data.volume import Volume

_BLOCK: Final = 8
"""Voxels of a block along each axis; a block holds something where one of its voxels does."""

_REACH: Final = 2
"""Voxels beyond a box that interpolation, cubic where it reaches furthest, takes into it."""


class Occupancy:
    """Tells parts of a prepared image that hold nothing but the zeros which the plan's crop takes for background.

    A study is cropped to its non-zero voxels and all outside is background; a box without a single non-zero voxel
    would, as a study of its own, be cropped away whole.

    Args:
        volume: The study.
        back: Where its voxels went, with a crop to non-zero voxels.
    """

    def __init__(self, volume: Volume, back: WayBack) -> None:
        self._back = back
        self._blocks_XYZ = _any_in_blocks([back.crop_of(channel_XYZ) for channel_XYZ in volume.data])

    def is_empty(self, box: tuple[slice, slice, slice]) -> bool:
        """Whether a box of the prepared image holds nothing in any channel."""
        blocks = [self._blocks(axis, part) for axis, part in enumerate(box)]
        return not self._blocks_XYZ[tuple(blocks)].any()

    def _blocks(self, axis: int, part: slice) -> slice:
        """The study's blocks that a range of prepared voxels is interpolated from."""
        source, target = self._back.cropped, self._back.prepared
        scale = target.spacing_mm[axis] / source.spacing_mm[axis]
        middle, centre = (target.shape[axis] - 1) / 2, (source.shape[axis] - 1) / 2
        first = floor((part.start - middle) * scale + centre) - _REACH
        last = ceil((part.stop - 1 - middle) * scale + centre) + _REACH
        return slice(max(first, 0) // _BLOCK, max(last, 0) // _BLOCK + 1)


def _any_in_blocks(channels_XYZ: list[np.ndarray]) -> np.ndarray:
    """For each block whether some voxel of it, in some channel, is not zero."""
    num_x, num_y, num_z = channels_XYZ[0].shape
    found = np.empty([-(-n // _BLOCK) for n in (num_x, num_y, num_z)], dtype=bool)
    for number, (first, stop) in enumerate(pairwise((*range(0, num_x, _BLOCK), num_x))):
        plane_YZ = np.logical_or.reduce([(channel[first:stop] != 0).any(axis=0) for channel in channels_XYZ])
        rows = np.logical_or.reduceat(plane_YZ, range(0, num_y, _BLOCK), axis=0)
        found[number] = np.logical_or.reduceat(rows, range(0, num_z, _BLOCK), axis=1)
    return found
