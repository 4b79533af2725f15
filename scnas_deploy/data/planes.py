"""Walking through volumes a little at a time, so that temporaries stay small.

A study from a NIfTI file has X running fastest in memory, a prepared image Z. Copied voxel by voxel from one order to
the other, each step lands in another line of the processor's cache; plane by plane along the axis that runs fastest in
neither (here Y), the lines of a plane stay in the cache until all of their voxels have been used.
"""

from collections.abc import Iterator

import numpy as np


def outer_axis(*volumes_XYZ: np.ndarray) -> int:
    """Return the axis along which neighbours lie farthest apart in the memory of every one of the volumes."""
    distances = [np.abs(volume.strides) / volume.itemsize for volume in volumes_XYZ]
    return int(np.argmax(np.min(distances, axis=0)))


def planes(*volumes_XYZ: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Walk through volumes of one shape together, plane by plane along their outer axis; yields views."""
    outer = outer_axis(*volumes_XYZ)
    yield from zip(*(np.moveaxis(volume, outer, 0) for volume in volumes_XYZ), strict=True)


def parts(size: int, step: int) -> Iterator[slice]:
    """Cut ``range(size)`` into slices of ``step``, the last one shorter."""
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def outer_first(outer: int) -> tuple[int, int, int]:
    """Return the order of axes that puts this one first."""
    down, across = (axis for axis in range(3) if axis != outer)
    return outer, down, across
