"""A study of a plan's usual size without a patient in it, for measuring."""

import numpy as np

from scnas_deploy.data.plan import Plan, Range
from scnas_deploy.data.volume import Volume

_ANY_RANGE: Range = (1.0, 1000.0)


def example_study(plan: Plan) -> Volume:
    """Make a study of uniform noise at the plan's spacing.

    Each axis is as long as the geometric middle of the plan's limits, which is that of the smallest and the largest
    training case, since both limits are widened by the same factor. No voxel is zero, so that nothing is cropped.

    Args:
        plan: The model's plan.
    """
    shape = tuple(
        max(1, round((low * high) ** 0.5 / spacing))
        for (low, high), spacing in zip(plan.limits.extent_mm, plan.spacing_mm, strict=True)
    )
    rng = np.random.default_rng(0)
    ranges = [allowed or _ANY_RANGE for allowed in plan.limits.intensity]
    channels = [rng.uniform(*_middle_half(allowed), size=shape) for allowed in ranges]
    return Volume(data=np.stack(channels).astype(np.float32), affine_ras=np.diag([*plan.spacing_mm, 1.0]))


def _middle_half(allowed: Range) -> Range:
    low, high = allowed
    quarter = (high - low) / 4
    return low + quarter, high - quarter
