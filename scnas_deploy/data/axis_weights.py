"""Interpolation along one axis as a banded matrix.

Along an axis, each voxel of a new grid is a weighted sum of voxels of the old one. Prefilter and evaluation of a cubic
B-spline are one such sum: its weights fall by the factor 0.27 a voxel.

Legend: X voxels of the old grid, U of the new one, N voxels across the axis, T voxels near a new one.

Reference:
    M. Unser, A. Aldroubi, M. Eden, B-spline signal processing: part I, IEEE Trans. Signal Processing 41(2), 1993.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scnas_deploy.data.planes import parts

_POLE = np.sqrt(3.0) - 2.0
_CUBIC_REACH = 14
"""Voxels on either side; those beyond would weigh less than 1e-7."""
_NEGLIGIBLE = 1e-9
_BAND_ROWS = 32
_PRODUCT_SIZE = 2**18
"""Multiply-adds up to which OpenBLAS stays on one thread: at full speed, and never waiting for a thread that a busy
machine has put aside, which has been seen to take a thousand times as long as the product."""


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """What each new voxel takes of each old one."""

    matrix_UX: np.ndarray
    """float32, rows sum to one, zero far from the diagonal."""

    def needed(self, rows: slice) -> slice:
        """Return the old voxels of which some of these new ones take anything."""
        used = np.flatnonzero(self.matrix_UX[rows].any(axis=0))
        return slice(int(used[0]), int(used[-1]) + 1)

    def most_needed(self, thickness: int) -> int:
        """Return how many old voxels so many new ones take at most."""
        needed = [self.needed(rows) for rows in parts(len(self.matrix_UX), thickness)]
        return int(max(columns.stop - columns.start for columns in needed))

    @cached_property
    def is_identity(self) -> bool:
        """Whether the axis stays as it is."""
        new, old = self.matrix_UX.shape
        return bool(new == old == np.count_nonzero(self.matrix_UX) and (self.matrix_UX.diagonal() == 1).all())

    def apply(self, voxels_XN: np.ndarray, out_UN: np.ndarray) -> None:
        """Interpolate along the first axis."""
        for rows, columns in self._bands:
            multiply(self.matrix_UX[rows, columns], voxels_XN[columns], out_UN[rows])

    @cached_property
    def _bands(self) -> tuple[tuple[slice, slice], ...]:
        """Blocks of rows and the columns they need: together, all of the matrix that is not zero."""
        return tuple((rows, self.needed(rows)) for rows in parts(len(self.matrix_UX), _BAND_ROWS))


def linear_weights(positions_U: np.ndarray, size: int) -> AxisWeights:
    """Weigh the two nearest voxels; beyond the outermost voxels these repeat.

    Args:
        positions_U: Centres of the new voxels, in old voxels from the first one's centre.
        size: Number of old voxels.
    """
    return _weights(np.clip(positions_U, 0, size - 1), size, _hat, reach=1)


def cubic_weights(positions_U: np.ndarray, size: int) -> AxisWeights:
    """Weigh by the cubic B-spline through the voxels, mirrored about the outermost centres.

    The field of view ends half a voxel beyond these; outside of it the outermost voxels repeat.
    """
    inside = (positions_U >= -0.5) & (positions_U < size - 0.5)
    repeated = np.where(inside, positions_U, np.clip(positions_U, 0, size - 1))
    return _weights(repeated, size, _cardinal_spline, _CUBIC_REACH)


def multiply(weights_UX: np.ndarray, voxels_XN: np.ndarray, out_UN: np.ndarray) -> None:
    """Multiply matrices, a few columns at a time."""
    step = max(1, _PRODUCT_SIZE // weights_UX.size)
    even = voxels_XN.shape[1] // step * step
    for part, width in ((slice(even), step), (slice(even, None), voxels_XN.shape[1] - even)):
        if out_UN[:, part].size:
            np.matmul(weights_UX, _side_by_side(voxels_XN[:, part], width), out=_side_by_side(out_UN[:, part], width))


def _side_by_side(matrix_XN: np.ndarray, width: int) -> np.ndarray:
    """View a matrix as several of ``width`` columns each."""
    return matrix_XN.reshape(len(matrix_XN), -1, width).transpose(1, 0, 2)


def _weights(positions_U: np.ndarray, size: int, kernel: Callable[[np.ndarray], np.ndarray], reach: int) -> AxisWeights:
    taps_UT = np.floor(positions_U)[:, None] + np.arange(1 - reach, reach + 1)
    weights_UT = kernel(positions_U[:, None] - taps_UT)
    weights_UT[np.abs(weights_UT) < _NEGLIGIBLE] = 0
    weights_UT /= weights_UT.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(positions_U), size), dtype=np.float32)
    rows = np.broadcast_to(np.arange(len(positions_U))[:, None], taps_UT.shape)
    np.add.at(matrix, (rows, _mirrored(taps_UT.astype(np.int64), size)), weights_UT)
    return AxisWeights(matrix)


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Reflect indices about the first and the last voxel's centre."""
    period = max(1, 2 * size - 2)
    index = np.abs(index) % period
    reflected: np.ndarray = np.minimum(index, period - index)
    return reflected


def _hat(distance: np.ndarray) -> np.ndarray:
    weight: np.ndarray = np.maximum(0, 1 - np.abs(distance))
    return weight


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
    weight: np.ndarray = np.where(far < 1, 2 / 3 - far**2 + far**3 / 2, np.maximum(0, 2 - far) ** 3 / 6)
    return weight
