"""Separable interpolation from one grid to another with the same axes, in bounded memory.

Along each axis a voxel of the new grid is a weighted sum of voxels of the old one. Prefilter and evaluation of a cubic
B-spline are one such sum, whose weights fall by the factor 0.27 a voxel, so that a band of a matrix holds them all and
a volume is interpolated by three matrix products. Planes are interpolated within themselves first; a window of them
then moves along the third axis.

Legend: X Y Z voxels of the old grid, U V W of the new one, N voxels across the axis in question.

Reference:
    M. Unser, A. Aldroubi, M. Eden, B-spline signal processing: part I, IEEE Trans. Signal Processing 41(2), 1993: the
    cardinal spline (equation 3.20) and its mirrored boundary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scnas_deploy.data.planes import outer_axis, parts, planes
from scnas_deploy.types import Shape3

WINDOW_BYTES = 64 * 2**20
"""What a window of planes aims to stay below; it holds what eight new planes take at least."""

Scale = Callable[[np.ndarray], np.ndarray]
"""Turns stored voxels into new float32 voxels, each for itself."""

_POLE = np.sqrt(3.0) - 2.0
_CUBIC_REACH = 14
"""Voxels on either side; those beyond would weigh less than 1e-7."""
_NEGLIGIBLE = 1e-9
_BAND_ROWS = 64
_THICKNESSES = (64, 32, 16, 8)
_BLENDED_VOXELS = 2**20


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """What each new voxel takes of each old one along an axis."""

    matrix_UX: np.ndarray
    """float32, rows sum to one, zero far from the diagonal."""

    def needed(self, rows: slice) -> slice:
        """Return the old voxels of which some of these new ones take anything."""
        used = np.flatnonzero(self.matrix_UX[rows].any(axis=0))
        return slice(int(used[0]), int(used[-1]) + 1)

    @cached_property
    def bands(self) -> tuple[tuple[slice, slice], ...]:
        """Blocks of rows with the columns they need: together, all of the matrix that is not zero."""
        return tuple((rows, self.needed(rows)) for rows in parts(len(self.matrix_UX), _BAND_ROWS))

    @cached_property
    def is_identity(self) -> bool:
        """Whether the axis stays as it is."""
        return np.array_equal(self.matrix_UX, np.eye(*self.matrix_UX.shape))

    def apply(self, voxels_XN: np.ndarray, out_UN: np.ndarray) -> None:
        """Interpolate along the first axis."""
        for rows, columns in self.bands:
            np.matmul(self.matrix_UX[rows, columns], voxels_XN[columns], out=out_UN[rows])

    def most_needed(self, thickness: int) -> int:
        """Return how many old planes so many new ones take at most."""
        needed = (self.needed(rows) for rows in parts(len(self.matrix_UX), thickness))
        return max(columns.stop - columns.start for columns in needed)


Axes = tuple[AxisWeights, AxisWeights, AxisWeights]


def linear_weights(positions_U: np.ndarray, size: int) -> AxisWeights:
    """Weigh the two nearest voxels; beyond the outermost voxels these repeat.

    Args:
        positions_U: Centres of the new voxels, in old voxels from the first one's centre.
        size: Number of old voxels.
    """
    return _weights(np.clip(positions_U, 0, size - 1), size, _hat, reach=1)


def cubic_weights(positions_U: np.ndarray, size: int) -> AxisWeights:
    """Weigh by the cubic B-spline through the voxels, mirrored about the outermost ones.

    Half a voxel beyond the outermost centres the field of view ends; from there on the outermost voxels repeat.
    """
    inside = (positions_U >= -0.5) & (positions_U < size - 0.5)
    return _weights(
        np.where(inside, positions_U, np.clip(positions_U, 0, size - 1)), size, _cardinal_spline, _CUBIC_REACH
    )


def interpolate(
    voxels_XYZ: np.ndarray, axes: Axes, out_UVW: np.ndarray, *, scale: Scale, bounds: tuple[float, float]
) -> None:
    """Interpolate a volume.

    Args:
        voxels_XYZ: Any type and order in memory.
        axes: Weights along X, Y and Z.
        out_UVW: Where the result goes, float32 or float16, any order in memory.
        scale: Applied to the voxels before they are interpolated.
        bounds: Lowest and highest result; what lies beyond is clipped.
    """
    if all(axis.is_identity for axis in axes):
        for plane, out_plane in planes(voxels_XYZ, out_UVW):
            out_plane[:] = scale(plane)
        return
    outer = outer_axis(voxels_XYZ, out_UVW)
    order = _outer_first(outer)
    voxels, out = voxels_XYZ.transpose(order), out_UVW.transpose(order)
    along, down, across = (axes[axis] for axis in order)
    thickness = _thickness(along, out[0].size)
    size = along.most_needed(thickness)
    window_XVW = np.zeros((size, *out.shape[1:]), dtype=np.float32)
    held = np.full(size, -1)  # plane x lies at place x modulo the window's size
    for rows in parts(len(out), thickness):
        columns = along.needed(rows)
        places = np.arange(columns.start, columns.stop) % size
        for x, place in zip(range(columns.start, columns.stop), places, strict=True):
            if held[place] != x:
                _interpolate_plane(scale(voxels[x]), down, across, window_XVW[place])
                held[place] = x
        weights_UX = np.zeros((rows.stop - rows.start, size), dtype=np.float32)
        weights_UX[:, places] = along.matrix_UX[rows, columns]
        _blend(weights_UX, window_XVW, out[rows], bounds)


def interpolation_bytes(axes: Axes, outer: int) -> int:
    """Return what :func:`interpolate` takes at its peak beyond its arguments, planes being cut across ``outer``."""
    along, down, across = (axes[axis] for axis in _outer_first(outer))
    (v, y), (w, z) = down.matrix_UX.shape, across.matrix_UX.shape
    thickness = _thickness(along, v * w)
    plane = y * z + (0 if down.is_identity else v * z)
    blended = _blended_rows(thickness, w) * min(thickness, len(along.matrix_UX)) * w
    return 4 * (along.most_needed(thickness) * v * w + max(plane, min(blended, thickness * v * w)))


def new_shape(axes: Axes) -> Shape3:
    """Return the shape of the new grid."""
    x, y, z = (len(axis.matrix_UX) for axis in axes)
    return x, y, z


def _outer_first(outer: int) -> tuple[int, ...]:
    return (outer, *(axis for axis in range(3) if axis != outer))


def _thickness(along: AxisWeights, plane_voxels: int) -> int:
    """Choose how many new planes are made at once: many, as long as the old planes they need fit the window."""
    fitting = (
        thickness for thickness in _THICKNESSES if 4 * along.most_needed(thickness) * plane_voxels <= WINDOW_BYTES
    )
    return next(fitting, _THICKNESSES[-1])


def _interpolate_plane(plane_YZ: np.ndarray, down: AxisWeights, across: AxisWeights, out_VW: np.ndarray) -> None:
    if not down.is_identity:
        lower_VZ = np.empty((out_VW.shape[0], plane_YZ.shape[1]), dtype=np.float32)
        down.apply(plane_YZ, lower_VZ)
        plane_YZ = lower_VZ
    if across.is_identity:
        out_VW[:] = plane_YZ
    else:
        across.apply(plane_YZ.T, out_VW.T)


def _blend(
    weights_UX: np.ndarray, planes_XVW: np.ndarray, out_UVW: np.ndarray, bounds: tuple[float, float]
) -> None:
    for part in parts(planes_XVW.shape[1], _blended_rows(*weights_UX.shape[:1], planes_XVW.shape[2])):
        blended_VUW = np.matmul(weights_UX, planes_XVW[:, part].transpose(1, 0, 2))
        np.clip(blended_VUW, *bounds, out=blended_VUW)
        out_UVW[:, part] = blended_VUW.transpose(1, 0, 2)


def _blended_rows(thickness: int, width: int) -> int:
    return max(1, _BLENDED_VOXELS // (thickness * width))


def _weights(positions_U: np.ndarray, size: int, kernel: Scale, reach: int) -> AxisWeights:
    taps = np.floor(positions_U)[:, None] + np.arange(1 - reach, reach + 1)
    matrix = np.zeros((len(positions_U), size))
    rows = np.broadcast_to(np.arange(len(positions_U))[:, None], taps.shape)
    np.add.at(matrix, (rows, _mirrored(taps.astype(np.int64), size)), kernel(positions_U[:, None] - taps))
    matrix[np.abs(matrix) < _NEGLIGIBLE] = 0
    return AxisWeights((matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32))


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Reflect indices about the first and the last voxel's centre."""
    period = max(1, 2 * size - 2)
    index = np.abs(index) % period
    return np.minimum(index, period - index)


def _hat(distance: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(distance))


def _cardinal_spline(distance: np.ndarray) -> np.ndarray:
    """The cubic spline that is 1 at 0 and 0 at every other integer."""
    nearest = np.floor(distance)
    total = np.zeros_like(distance)
    for step in (-1, 0, 1, 2):
        knot = nearest + step
        total += np.sqrt(3.0) * _POLE ** np.abs(knot) * _cubic_b_spline(distance - knot)
    return total


def _cubic_b_spline(distance: np.ndarray) -> np.ndarray:
    far = np.abs(distance)
    return np.where(far < 1, 2 / 3 - far**2 + far**3 / 2, np.maximum(0, 2 - far) ** 3 / 6)
