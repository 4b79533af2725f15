"""Normalising a channel's intensities, a little at a time."""

from dataclasses import dataclass

import numpy as np

from scnas_deploy.data.plan import Normalisation, ZScore
from scnas_deploy.data.planes import pieces
from scnas_deploy.types import VoxelsXYZ

_SMALLEST_STD = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """``(clip(voxel, low, high) - mean) / std`` in single precision; a function of voxels."""

    low: float
    """Lowest voxel after clipping."""
    high: float
    mean: float
    std: float

    def __call__(self, voxels: np.ndarray) -> np.ndarray:
        """Return normalised voxels, float32, in the voxels' own order in memory."""
        values = voxels.astype(np.float32)
        np.clip(values, np.float32(self.low), np.float32(self.high), out=values)
        values -= np.float32(self.mean)
        values /= np.float32(self.std)
        return values

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest voxel after normalising."""
        low, high = self(np.array([self.low, self.high]))
        return float(low), float(high)


def scaling_of(voxels_XYZ: VoxelsXYZ, normalisation: Normalisation) -> Scaling:
    """Return how a channel is normalised: by its own non-zero voxels, or by fixed figures."""
    low, high = float(voxels_XYZ.min()), float(voxels_XYZ.max())
    if isinstance(normalisation, ZScore):
        mean, std = _nonzero_mean_and_std(voxels_XYZ)
        return Scaling(low=low, high=high, mean=mean, std=max(std, _SMALLEST_STD))
    low, high = (min(max(value, normalisation.low), normalisation.high) for value in (low, high))
    return Scaling(low=low, high=high, mean=normalisation.mean, std=normalisation.std)


def _nonzero_mean_and_std(voxels_XYZ: VoxelsXYZ) -> tuple[float, float]:
    """Combine the pieces' counts, means and sums of squared deviations (Chan, Golub and LeVeque 1983)."""
    count, mean, squares = 0, 0.0, 0.0
    for (piece,) in pieces(voxels_XYZ):
        inside = piece[piece != 0].astype(np.float64)
        if not inside.size:
            continue
        shift, total = inside.mean() - mean, count + inside.size
        squares += inside.var() * inside.size + shift**2 * count * inside.size / total
        mean += shift * inside.size / total
        count = total
    return (float(mean), float(np.sqrt(squares / count))) if count else (0.0, 1.0)
