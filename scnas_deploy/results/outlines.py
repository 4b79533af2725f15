"""Outlines of a mask on a plane, as closed polygons between the centres of its pixels and those around.

Each polygon goes around one part. Holes are joined to it by a channel of no width (PS3.3 C.8.8.6.3, the keyhole
technique), which readers understand that fill contours one by one as well as those that combine them.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

_MIDDLE = 0.5


def outlines(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the outline of each part of a mask.

    Args:
        mask: (rows, columns), bool.

    Yields:
        (points, 2) each: column and row, in pixels.
    """
    import contourpy

    padded = np.pad(mask.astype(np.float64), 1)
    generator = contourpy.contour_generator(z=padded, fill_type=contourpy.FillType.OuterOffset)
    parts: Any
    offsets: Any
    parts, offsets = generator.filled(_MIDDLE, 2.0)[:2]
    for points, starts in zip(parts, offsets, strict=True):
        rings = [points[first : last - 1] - 1.0 for first, last in pairwise(starts)]
        yield _joined(rings[0], rings[1:])


def _joined(outer: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """One ring of an outer ring and its holes, each joined where it comes nearest."""
    left = list(holes)
    while left:
        distances = [np.linalg.norm(outer[:, None] - hole[None], axis=2) for hole in left]
        nearest = min(range(len(left)), key=lambda index: float(distances[index].min()))
        hole = left.pop(nearest)
        there, here = np.unravel_index(int(distances[nearest].argmin()), distances[nearest].shape)
        ring = np.roll(hole, -int(here), axis=0)
        outer = np.concatenate([outer[: there + 1], ring, ring[:1], outer[there:]])
    return outer
