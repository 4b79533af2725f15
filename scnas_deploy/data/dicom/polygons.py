"""Polygons on a plane: the pixels whose centres lie inside, by the even-odd rule.

That reproduces masks of published RTSTRUCT objects exactly. Coordinates are (column, row) in pixels; a pixel's centre
lies at whole numbers.
"""

from collections.abc import Iterable

import numpy as np


def fill(polygons: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Fill polygons.

    Args:
        polygons: (points, 2) each; one within another cuts a hole.
        shape: Rows, columns.

    Returns:
        (rows, columns), bool.
    """
    mask = np.zeros(shape, dtype=bool)
    for polygon in polygons:
        mask ^= _fill_one(polygon, shape)
    return mask


def _fill_one(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Each edge flips all pixels to its right in the rows it crosses; an odd number of flips is inside."""
    rows, columns = shape
    flips = np.zeros((rows, columns + 1), dtype=np.uint8)
    start, end = polygon, np.roll(polygon, -1, axis=0)
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(low), 0, rows).astype(int)
    last = np.clip(np.ceil(high), 0, rows).astype(int)  # half open: a corner on a row counts once
    for edge in np.flatnonzero(last > first):
        crossed = np.arange(first[edge], last[edge])
        part = (crossed - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
        x = start[edge, 0] + part * (end[edge, 0] - start[edge, 0])
        np.bitwise_xor.at(flips, (crossed, np.clip(np.ceil(x), 0, columns).astype(int)), 1)
    return np.bitwise_xor.accumulate(flips, axis=1)[:, :columns].astype(bool)
