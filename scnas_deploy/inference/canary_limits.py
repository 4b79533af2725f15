"""How far an engine's answer to the canary may be from the network's own."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.inference.manifest import CanaryRecord, Precision
from scnas_deploy.inference.package import Canary


@dataclass(frozen=True, slots=True)
class CanaryLimits:
    """How far an engine may be off."""

    max_abs_error: float
    """Largest absolute difference of a logit."""
    min_agreement: float
    """Part of the voxels with the same label."""
    min_dice: float = 0.5
    """Of each class: an engine that misses one is refused however few voxels that changes."""

    def are_kept_by(self, found: CanaryRecord, least_dice: float) -> bool:
        """Whether an answer keeps them."""
        near = found.max_abs_error <= self.max_abs_error and found.label_agreement >= self.min_agreement
        return near and least_dice >= self.min_dice


EXACT: Final = CanaryLimits(1e-2, 0.999)
"""In float32, where engines differ only by the order of their sums."""
_WIDEST: Final[dict[Precision, tuple[float, float]]] = {"float16": (0.05, 0.99), "int8": (0.5, 0.9)}
"""In lower precision: the largest difference as a part of the canary's largest logit, and the labels' agreement."""
SLACK: Final[dict[Precision, float]] = {"float16": 8.0, "int8": 2.0}
"""How many times as far off as at its export an artefact of lower precision may be in another engine. Integers came to
1.0 times it with AVX2, AVX-512 and VNNI. In half precision a GPU may also sum, which has not been measured."""


def limits_of(precision: Precision, canary: Canary, proven: CanaryRecord | None = None) -> CanaryLimits:
    """Return how far an engine of a precision may be off.

    In float32 that is fixed. An artefact of lower precision is as far off as its network makes it, which its export has
    measured: a multiple of that is allowed, and never more than any artefact may be.

    Args:
        precision: Of the artefact.
        canary: The package's.
        proven: How far the artefact was off at its export; None while it is being exported.
    """
    if precision == "float32":
        return EXACT
    part, agreement = _WIDEST[precision]
    error = part * float(np.abs(canary.logits_BKXYZ).max())
    if proven is not None:
        error = min(error, max(SLACK[precision] * proven.max_abs_error, EXACT.max_abs_error))
        agreement = max(agreement, min(1 - SLACK[precision] * (1 - proven.label_agreement), EXACT.min_agreement))
    return CanaryLimits(error, agreement)
