"""Refusing a study that a model was not made for."""

import numpy as np

from scnas_deploy.data.orientation import to_ras
from scnas_deploy.data.percentiles import percentiles
from scnas_deploy.data.plan import Plan, Range
from scnas_deploy.data.volume import Volume
from scnas_deploy.types import Spacing


def violations(volume: Volume, plan: Plan) -> tuple[str, ...]:
    """Say in what a study leaves the plan's limits; empty where it does not.

    Args:
        volume: The study; its channels have been checked.
        plan: The plan with the limits.
    """
    found = [] if volume.orientation_known else ["the file does not say which way the patient lies"]
    found += geometry_violations(volume, plan)
    for channel, data, allowed in zip(plan.channels, volume.data, plan.limits.intensity, strict=True):
        found += _intensity(channel.name, data, allowed)
    return tuple(found)


def geometry_violations(volume: Volume, plan: Plan) -> tuple[str, ...]:
    """Say in what a study's grid leaves the plan's limits, whatever its voxels are."""
    ras, _ = to_ras(volume)
    spacing = ras.spacing_mm
    x, y, z = (n * mm for n, mm in zip(ras.shape, spacing, strict=True))
    return (
        *_outside("voxel spacing", spacing, plan.limits.spacing_mm),
        *_outside("field of view", (x, y, z), plan.limits.extent_mm),
    )


def _outside(what: str, values: Spacing, allowed: tuple[Range, Range, Range]) -> list[str]:
    return [
        f"{what} {value:.4g} mm along {axis}, {low:.4g} to {high:.4g} mm allowed"
        for axis, value, (low, high) in zip("RAS", values, allowed, strict=True)
        if not low <= value <= high
    ]


def _intensity(name: str, data: np.ndarray, allowed: Range | None) -> list[str]:
    lowest, highest = data.min(), data.max()
    if lowest == highest:
        return [f"channel {name} is the constant {lowest:g}"]
    if allowed is None or (allowed[0] <= lowest and highest <= allowed[1]):
        return []
    low, high = percentiles(data, (0.5, 99.5))
    if not (allowed[0] <= low and high <= allowed[1]):
        return [f"intensities {low:.4g} to {high:.4g} in channel {name}, {allowed[0]:.4g} to {allowed[1]:.4g} allowed"]
    return []
