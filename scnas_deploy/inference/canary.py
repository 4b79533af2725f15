"""The canary: an engine answers a patch whose answer is known before it is called ready.

Half-precision engines of other tools have silently answered nothing but background.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.package import Canary


@dataclass(frozen=True, slots=True)
class CanaryLimits:
    """How far an engine may be off."""

    max_abs_error: float
    """Largest absolute difference of a logit."""
    min_agreement: float
    """Part of the voxels with the same label."""


LIMITS: Final = {
    "float32": CanaryLimits(1e-2, 0.999),
    "float16": CanaryLimits(0.2, 0.99),
    "int8": CanaryLimits(5.0, 0.9),
}


def check_canary(engine: Engine, canary: Canary) -> None:
    """Refuse an engine that does not compute what the network computed when it was exported.

    Raises:
        EngineError: With the size of the difference.
    """
    limits = LIMITS[engine.precision]
    logits = engine.run(canary.patches_BCXYZ)
    error = float(np.abs(logits - canary.logits_BKXYZ).max()) if logits.shape == canary.logits_BKXYZ.shape else np.inf
    agreement = float((logits[0].argmax(axis=0) == canary.classes_XYZ).mean()) if np.isfinite(error) else 0.0
    if not error <= limits.max_abs_error or agreement < limits.min_agreement:
        raise EngineError(
            engine.name,
            expected=f"the package's canary answer within {limits.max_abs_error}",
            found=f"a largest difference of {error:.3g} and {agreement:.2%} of the labels",
            remedy="Do not use this engine for this model; try another with --engine",
        )
