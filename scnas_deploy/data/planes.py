"""Walking through volumes a little at a time, so that temporaries stay small.

A study from a NIfTI file has X running fastest in memory, a prepared image Z. Copied voxel by voxel from one order to
the other, each step lands in another line of the processor's cache; plane by plane along the axis that runs fastest in
neither (here Y), the lines of a plane stay in the cache until all of their voxels have been used.
"""

from collections.abc import Iterator

import numpy as np

PIECE_VOXELS = 2**18

_SMALL_PLANES = 2**16
"""Planes that have no more voxels together make one piece: each piece costs a call of Python."""


def outer_axis(*volumes_XYZ: np.ndarray) -> int:
    """Return the axis along which neighbours lie farthest apart in the memory of every one of the volumes."""
    distances = [np.abs(volume.strides) / volume.itemsize for volume in volumes_XYZ]
    return int(np.argmax(np.min(distances, axis=0)))


def outer_first(outer: int) -> tuple[int, int, int]:
    """Return the order of axes that puts this one first."""
    down, across = (axis for axis in range(3) if axis != outer)
    return outer, down, across


def pieces(*volumes_XYZ: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Walk through volumes of one shape together: a quarter of a million voxels of a plane, or a few small planes.

    Yields:
        A view of each volume, its axes permuted in the same way.
    """
    order = outer_first(outer_axis(*volumes_XYZ))
    permuted = [volume.transpose(order) for volume in volumes_XYZ]
    num_planes, lines, width = permuted[0].shape
    for planes in parts(num_planes, max(1, _SMALL_PLANES // (lines * width))):
        for part in parts(lines, max(1, PIECE_VOXELS // width)):
            yield tuple(volume[planes, part] for volume in permuted)


def parts(size: int, step: int) -> Iterator[slice]:
    """Cut ``range(size)`` into slices of ``step``, the last one shorter."""
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))
