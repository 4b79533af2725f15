"""Labels on another grid with the same axes: the strongest of all labels' linearly interpolated indicators.

A position between voxels has eight of them around it, so eight labels at most compete there, however many there are
in all, and one alone in most places: only what lies between voxels of different labels is computed.

Legend: X Y Z voxels of the old grid, U V W of the new one, axes permuted so that X and U change slowest in memory,
N places of one plane, 8 corners around each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scnas_deploy.data.planes import outer_axis, outer_first, parts

_PART_VOXELS = 2**16
_PART_PLACES = 2**12
_BYTES_A_PLACE = 700
"""64 float64 products of a share and whether two corners carry one label, 64 such answers, and what leads to them."""


@dataclass(frozen=True, eq=False, slots=True)
class _Neighbours:
    """The two old voxels around each new one along an axis."""

    lower_U: np.ndarray
    upper_U: np.ndarray
    shares_2U: np.ndarray
    """What the lower and the upper one weigh."""


def strongest_labels(
    labels_XYZ: np.ndarray, positions: tuple[np.ndarray, np.ndarray, np.ndarray], out_UVW: np.ndarray
) -> None:
    """Interpolate labels; of equally strong ones the lowest wins.

    Args:
        labels_XYZ: Any integer type and order in memory.
        positions: Along X, Y and Z, centres of the new voxels, in old voxels from the first one's centre; ascending.
            Beyond the outermost voxels these repeat.
        out_UVW: Where the result goes, of the same type.
    """
    order = outer_first(outer_axis(labels_XYZ, out_UVW))
    labels, out = labels_XYZ.transpose(order), out_UVW.transpose(order)
    along, down, across = (_neighbours(positions[axis], labels_XYZ.shape[axis]) for axis in order)
    for rows in _runs(along.lower_U):
        between = along.lower_U[rows.start], along.upper_U[rows.start]
        pair_2YZ = np.array([labels[x] for x in between], order="C")
        mixed_YZ = _mixed_cells(pair_2YZ)
        for part in parts(out.shape[1], max(1, _PART_VOXELS // out.shape[2])):
            part_of_down = _Neighbours(down.lower_U[part], down.upper_U[part], down.shares_2U[:, part])
            _fill(pair_2YZ, mixed_YZ, along.shares_2U[:, rows], part_of_down, across, out[rows, part])


def strongest_labels_bytes(plane_voxels: int, itemsize: int) -> int:
    """Return the most that :func:`strongest_labels` takes beyond its arguments at its peak.

    Args:
        plane_voxels: Of an old plane across the slowest axis.
        itemsize: Bytes a label.
    """
    return plane_voxels * (2 * itemsize + 4) + _PART_VOXELS * (itemsize + 10) + _PART_PLACES * _BYTES_A_PLACE


def _neighbours(positions_U: np.ndarray, size: int) -> _Neighbours:
    inside = np.clip(positions_U, 0, size - 1)
    lower = np.minimum(inside.astype(np.int64), max(size - 2, 0))
    share = inside - lower
    return _Neighbours(lower, np.minimum(lower + 1, size - 1), np.stack([1 - share, share]))


def _runs(ascending: np.ndarray) -> Iterator[slice]:
    """Cut into slices of equal numbers."""
    edges = np.flatnonzero(np.diff(ascending)) + 1
    for start, stop in zip((0, *edges), (*edges, len(ascending)), strict=True):
        yield slice(int(start), int(stop))


def _mixed_cells(pair_2YZ: np.ndarray) -> np.ndarray:
    """Mark each cell of eight voxels that do not all carry one label, at its lowest corner."""
    mixed: np.ndarray = pair_2YZ[0] != pair_2YZ[1]
    lowest = pair_2YZ[0]
    mixed[:-1] |= mixed[1:]
    mixed[:-1] |= lowest[:-1] != lowest[1:]
    mixed[:, :-1] |= mixed[:, 1:]
    mixed[:, :-1] |= lowest[:, :-1] != lowest[:, 1:]
    return mixed


def _fill(
    pair_2YZ: np.ndarray,
    mixed_YZ: np.ndarray,
    shares_2U: np.ndarray,
    down: _Neighbours,
    across: _Neighbours,
    out_UVW: np.ndarray,
) -> None:
    """Fill the new planes that lie between two old ones."""
    out_UVW[:] = pair_2YZ[0][down.lower_U][:, across.lower_U]
    mixed = np.flatnonzero(mixed_YZ[down.lower_U][:, across.lower_U])
    for part in parts(len(mixed), _PART_PLACES):
        v, w = np.divmod(mixed[part], out_UVW.shape[2])
        lines, columns = np.stack([down.lower_U[v], down.upper_U[v]]), np.stack([across.lower_U[w], across.upper_U[w]])
        corners_8N = pair_2YZ.reshape(2, -1).take(lines[:, None] * pair_2YZ.shape[2] + columns, axis=1).reshape(8, -1)
        in_plane_22N = down.shares_2U.take(v, axis=1)[:, None] * across.shares_2U.take(w, axis=1)
        equal_88N = corners_8N[:, None] == corners_8N
        for shares_2, plane_VW in zip(shares_2U.T, out_UVW, strict=True):
            weights_8N = (shares_2[:, None, None, None] * in_plane_22N).reshape(8, -1)
            plane_VW[v, w] = _strongest(corners_8N, equal_88N, weights_8N)


def _strongest(corners_8N: np.ndarray, equal_88N: np.ndarray, weights_8N: np.ndarray) -> np.ndarray:
    shares_8N = (equal_88N * weights_8N).sum(axis=1).astype(np.float32)  # rounded: equal ones become equal
    strongest = shares_8N == shares_8N.max(axis=0)
    winner: np.ndarray = np.where(strongest, corners_8N, np.iinfo(corners_8N.dtype).max).min(axis=0)
    return winner
