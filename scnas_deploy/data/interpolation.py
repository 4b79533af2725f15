"""Interpolation from one grid to another with the same axes, in bounded memory.

A volume is interpolated by one banded matrix an axis (`axis_weights.py`). Each old plane is read once, interpolated
within itself and kept in a window as long as new planes take something of it.

Legend: X Y Z voxels of the old grid, U V W of the new one; from the second function on the axes are permuted so that X
and U are those along which the window moves.
"""

from collections.abc import Callable

import numpy as np

from scnas_deploy.data.axis_weights import AxisWeights, multiply
from scnas_deploy.data.planes import PIECE_VOXELS, outer_axis, outer_first, parts, pieces

WINDOW_BYTES = 64 * 2**20
"""What the window stays below, unless the planes for eight new ones take more."""

Axes = tuple[AxisWeights, AxisWeights, AxisWeights]
"""Along X, Y and Z."""

Scale = Callable[[np.ndarray], np.ndarray]
"""Turns stored voxels into new float32 ones, each for itself."""

_THICKNESSES = (32, 16, 8)
_BLENDED_VOXELS = 2**20


def interpolate(
    voxels_XYZ: np.ndarray, axes: Axes, out_UVW: np.ndarray, *, scale: Scale, bounds: tuple[float, float]
) -> None:
    """Interpolate a volume.

    Args:
        voxels_XYZ: Any type and order in memory.
        axes: Weights along X, Y and Z.
        out_UVW: Where the result goes: floating-point, any order in memory.
        scale: Applied to the voxels before they are interpolated.
        bounds: Lowest and highest result; what lies beyond is clipped.
    """
    if all(axis.is_identity for axis in axes):
        for piece, out_piece in pieces(voxels_XYZ, out_UVW):
            out_piece[:] = scale(piece)
        return
    order = outer_first(outer_axis(voxels_XYZ, out_UVW))
    permuted = axes[order[0]], axes[order[1]], axes[order[2]]
    _move_window(voxels_XYZ.transpose(order), permuted, out_UVW.transpose(order), scale, bounds)


def interpolation_bytes(axes: Axes) -> int:
    """Return the most that :func:`interpolate` takes beyond its arguments at its peak.

    How the volumes lie in memory decides which axis the window moves along; counted is the one that costs most.
    """
    if all(axis.is_identity for axis in axes):
        return 4 * PIECE_VOXELS
    matrices = 4 * sum(axis.matrix_UX.size for axis in axes)
    return matrices + max(_window_bytes(axes[x], axes[y], axes[z]) for x, y, z in map(outer_first, range(3)))


def _move_window(
    voxels_XYZ: np.ndarray, axes: Axes, out_UVW: np.ndarray, scale: Scale, bounds: tuple[float, float]
) -> None:
    along, down, across = axes
    thickness = _thickness(along, out_UVW[0].size)
    size = along.most_needed(thickness)
    window_XVW = np.zeros((size, *out_UVW.shape[1:]), dtype=np.float32)
    held = np.full(size, -1)  # plane x lies at place x modulo the window's size
    for rows in parts(len(out_UVW), thickness):
        needed = along.needed(rows)
        places = np.arange(needed.start, needed.stop) % size
        for x, place in zip(range(needed.start, needed.stop), places, strict=True):
            if held[place] != x:
                _interpolate_plane(scale(voxels_XYZ[x]), down, across, window_XVW[place])
                held[place] = x
        weights_UX = np.zeros((rows.stop - rows.start, size), dtype=np.float32)
        weights_UX[:, places] = along.matrix_UX[rows, needed]
        _blend(weights_UX, window_XVW, out_UVW[rows], bounds)


def _window_bytes(along: AxisWeights, down: AxisWeights, across: AxisWeights) -> int:
    (new, _), (v, y), (w, z) = (axis.matrix_UX.shape for axis in (along, down, across))
    thickness = min(_thickness(along, v * w), new)
    one_plane = y * z + (0 if down.is_identity else v * z)
    blended = thickness * min(v, _blended_lines(thickness, w)) * w
    voxels: int = along.most_needed(thickness) * v * w + max(one_plane, blended)
    return 4 * voxels


def _thickness(along: AxisWeights, plane_voxels: int) -> int:
    """Choose how many new planes are made at once: as many as need no more old planes than the window should hold."""
    fitting = (count for count in _THICKNESSES if 4 * along.most_needed(count) * plane_voxels <= WINDOW_BYTES)
    return next(fitting, _THICKNESSES[-1])


def _interpolate_plane(plane_YZ: np.ndarray, down: AxisWeights, across: AxisWeights, out_VW: np.ndarray) -> None:
    if not down.is_identity:
        plane_VZ = np.empty((out_VW.shape[0], plane_YZ.shape[1]), dtype=np.float32)
        down.apply(plane_YZ, plane_VZ)
        plane_YZ = plane_VZ
    if across.is_identity:
        out_VW[:] = plane_YZ
    else:
        across.apply(plane_YZ.T, out_VW.T)


def _blend(weights_UX: np.ndarray, planes_XVW: np.ndarray, out_UVW: np.ndarray, bounds: tuple[float, float]) -> None:
    new, (old, height, width) = len(weights_UX), planes_XVW.shape
    step = _blended_lines(new, width)
    blended_UVW = np.empty((new, min(step, height), width), dtype=np.float32)
    for part in parts(height, step):
        blended = blended_UVW[:, : part.stop - part.start]
        multiply(weights_UX, planes_XVW[:, part].reshape(old, -1), blended.reshape(new, -1))
        np.clip(blended, *bounds, out=blended)
        out_UVW[:, part] = blended


def _blended_lines(thickness: int, width: int) -> int:
    return max(1, _BLENDED_VOXELS // (thickness * width))
