"""Percentiles of a large volume without a copy of it."""

import numpy as np

from scnas_deploy.data.planes import pieces
from scnas_deploy.types import VoxelsXYZ

_MOST_VALUES = 2**17
"""Widest range of integers that is counted value by value."""


def percentiles(voxels_XYZ: VoxelsXYZ, percents: tuple[float, ...]) -> list[float]:
    """Return what :func:`numpy.percentile` returns, linearly between neighbours.

    Integers of a range such as scanners store are counted; all others are copied and partitioned.
    """
    low, high = voxels_XYZ.min(), voxels_XYZ.max()
    if voxels_XYZ.dtype.kind not in "iu" or int(high) - int(low) >= _MOST_VALUES:
        return [float(value) for value in np.percentile(voxels_XYZ, percents)]
    counts = np.zeros(int(high) - int(low) + 1, dtype=np.int64)
    for (piece,) in pieces(voxels_XYZ):
        counts += np.bincount((piece.astype(np.int64) - int(low)).ravel(), minlength=len(counts))
    up_to = counts.cumsum()
    return [int(low) + _at(up_to, percent / 100 * (voxels_XYZ.size - 1)) for percent in percents]


def _at(up_to: np.ndarray, rank: float) -> float:
    """Value at a rank, counted from 0, between the values at the whole ranks around it."""
    below, above = (int(np.searchsorted(up_to, whole, side="right")) for whole in (np.floor(rank), np.ceil(rank)))
    return float(below + (above - below) * (rank - np.floor(rank)))
