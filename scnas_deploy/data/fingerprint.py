"""What a dataset looks like: figures of every case, gathered in one pass, and their summary."""

from dataclasses import dataclass

import numpy as np

from scnas_deploy.data.orientation import to_ras
from scnas_deploy.data.volume import Volume
from scnas_deploy.documents import Frozen, to_json
from scnas_deploy.files import sha256_of
from scnas_deploy.types import LabelsXYZ, Shape3, Spacing

_MAX_FOREGROUND_SAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseFigures:
    """One case's contribution. Spacing and shape are along R, A, S."""

    case_id: str
    spacing_mm: Spacing
    shape: Shape3
    cropped_shape: Shape3
    percentiles: tuple[tuple[float, float], ...]
    """Per channel, the 0.5th and 99.5th percentile over all voxels."""
    foreground: tuple[np.ndarray, ...]
    """Per channel, intensities at up to 10,000 foreground voxels, evenly drawn."""
    label_ml: dict[int, float]


class ChannelFigures(Frozen):
    """Intensities of one channel over all cases."""

    percentile_00_5: float
    """Lowest of the cases' own 0.5th percentiles."""
    percentile_99_5: float
    """Highest of the cases' own 99.5th percentiles."""
    foreground_low: float
    """0.5th percentile of the pooled foreground voxels."""
    foreground_high: float
    foreground_mean: float
    foreground_std: float


class Fingerprint(Frozen):
    """A dataset's summary, the basis of its plan. All triples are along R, A, S."""

    num_cases: int
    spacing_min_mm: Spacing
    spacing_median_mm: Spacing
    spacing_max_mm: Spacing
    extent_min_mm: Spacing
    extent_max_mm: Spacing
    cropped_extent_median_mm: Spacing
    """Median field of view after cropping to non-zero voxels."""
    nonzero_fraction: float
    """Median part of the volume that the crop to non-zero voxels keeps."""
    channels: tuple[ChannelFigures, ...]
    label_median_ml: dict[int, float]
    label_cases: dict[int, int]
    """Label value -> number of cases that contain it."""

    @property
    def digest(self) -> str:
        """SHA-256 of the fingerprint."""
        return sha256_of(to_json(self).encode())


def measure_case(case_id: str, volume: Volume, labels_XYZ: LabelsXYZ) -> CaseFigures:
    """Gather one case's figures."""
    ras, _ = to_ras(volume)
    data = volume.data.reshape(volume.num_channels, -1)
    inside = np.flatnonzero(labels_XYZ)
    inside = inside[:: max(1, -(-len(inside) // _MAX_FOREGROUND_SAMPLES))]
    values, counts = np.unique(labels_XYZ, return_counts=True)
    return CaseFigures(
        case_id=case_id,
        spacing_mm=ras.spacing_mm,
        shape=ras.shape,
        cropped_shape=_shape_of(nonzero_box(ras.data)),
        percentiles=tuple((float(low), float(high)) for low, high in (np.percentile(c, (0.5, 99.5)) for c in data)),
        foreground=tuple(channel[inside].astype(np.float64) for channel in data),
        label_ml={
            int(value): float(count) * volume.voxel_ml for value, count in zip(values, counts, strict=True) if value
        },
    )


def summarise(cases: list[CaseFigures]) -> Fingerprint:
    """Summarise the cases' figures into the dataset's fingerprint."""
    spacing = np.array([case.spacing_mm for case in cases])
    extent = spacing * np.array([case.shape for case in cases])
    cropped = np.array([case.cropped_shape for case in cases])
    kept = cropped.prod(axis=1) / np.array([case.shape for case in cases]).prod(axis=1)
    values = sorted({value for case in cases for value in case.label_ml})
    return Fingerprint(
        num_cases=len(cases),
        spacing_min_mm=_triple(spacing.min(axis=0)),
        spacing_median_mm=_triple(np.median(spacing, axis=0)),
        spacing_max_mm=_triple(spacing.max(axis=0)),
        extent_min_mm=_triple(extent.min(axis=0)),
        extent_max_mm=_triple(extent.max(axis=0)),
        cropped_extent_median_mm=_triple(np.median(cropped * spacing, axis=0)),
        nonzero_fraction=round(float(np.median(kept)), 6),
        channels=tuple(_channel_figures(cases, index) for index in range(len(cases[0].percentiles))),
        label_median_ml={
            value: round(float(np.median([case.label_ml[value] for case in cases if value in case.label_ml])), 4)
            for value in values
        },
        label_cases={value: sum(value in case.label_ml for case in cases) for value in values},
    )


def nonzero_box(data_CXYZ: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the smallest box that holds every voxel that is non-zero in some channel (all, if none is)."""
    box = [slice(0, size) for size in data_CXYZ.shape[1:]]
    for axis in range(3):
        planes = np.moveaxis(data_CXYZ[(slice(None), *box)], axis + 1, 0)
        first = next((index for index, plane in enumerate(planes) if plane.any()), None)
        if first is None:
            break
        last = next(index for index in reversed(range(len(planes))) if planes[index].any())
        box[axis] = slice(first, last + 1)
    return box[0], box[1], box[2]


def _channel_figures(cases: list[CaseFigures], index: int) -> ChannelFigures:
    pooled = np.concatenate([case.foreground[index] for case in cases])
    pooled = pooled if len(pooled) else np.array([p for case in cases for p in case.percentiles[index]])
    low, high = np.percentile(pooled, (0.5, 99.5))
    clipped = np.clip(pooled, low, high)
    return ChannelFigures(
        percentile_00_5=min(case.percentiles[index][0] for case in cases),
        percentile_99_5=max(case.percentiles[index][1] for case in cases),
        foreground_low=float(low),
        foreground_high=float(high),
        foreground_mean=float(clipped.mean()),
        foreground_std=float(clipped.std()),
    )


def _shape_of(box: tuple[slice, slice, slice]) -> Shape3:
    x, y, z = (side.stop - side.start for side in box)
    return x, y, z


def _triple(values: np.ndarray) -> Spacing:
    x, y, z = (round(float(value), 6) for value in values)
    return x, y, z
