"""Percentiles of a large volume without a copy of it."""

import numpy as np

from scnas_deploy.data.order_statistics import order_statistics
from scnas_deploy.data.planes import pieces
from scnas_deploy.types import VoxelsXYZ

_MOST_VALUES = 2**17
"""Widest range of integers that is counted value by value."""

_SMALL = 2**18
"""Voxels of which a copy is a matter of megabytes, and faster."""


def percentiles(voxels_XYZ: VoxelsXYZ, percents: tuple[float, ...]) -> list[float]:
    """Return what :func:`numpy.percentile` returns, linearly between neighbours.

    Integers of a range such as scanners store are counted; small volumes are copied and partitioned.
    """
    low, high = voxels_XYZ.min(), voxels_XYZ.max()
    if voxels_XYZ.dtype.kind not in "iu" or int(high) - int(low) >= _MOST_VALUES:
        if voxels_XYZ.size > _SMALL:
            return _of_large(voxels_XYZ, percents)
        return [float(value) for value in np.percentile(voxels_XYZ, percents)]
    counts = np.zeros(int(high) - int(low) + 1, dtype=np.int64)
    for (piece,) in pieces(voxels_XYZ):
        counts += np.bincount((piece.astype(np.int64) - int(low)).ravel(), minlength=len(counts))
    up_to = counts.cumsum()
    return [int(low) + _at(up_to, percent / 100 * (voxels_XYZ.size - 1)) for percent in percents]


def _of_large(voxels_XYZ: VoxelsXYZ, percents: tuple[float, ...]) -> list[float]:
    """What numpy makes of the two values around each rank: it interpolates in ways of its own."""
    ranks = [percent / 100 * (voxels_XYZ.size - 1) for percent in percents]
    wanted = [whole for rank in ranks for whole in (int(np.floor(rank)), int(np.ceil(rank)))]
    pairs = order_statistics(voxels_XYZ, wanted).reshape(-1, 2)
    return [float(np.quantile(pair, np.array(rank - np.floor(rank)))) for pair, rank in zip(pairs, ranks, strict=True)]


def _at(up_to: np.ndarray, rank: float) -> float:
    """Value at a rank, counted from 0, between the values at the whole ranks around it."""
    below, above = (int(np.searchsorted(up_to, whole, side="right")) for whole in (np.floor(rank), np.ceil(rank)))
    return float(below + (above - below) * (rank - np.floor(rank)))
