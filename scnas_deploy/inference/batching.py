"""Choosing how many patches a call takes.

Legend: B batch, C channels, X Y Z voxels in NIfTI order.
"""

import time
from typing import Final

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.types import PatchesBCXYZ

_WORTHWHILE: Final = 0.95
"""A larger batch is taken where a patch takes less than this part of its time; it needs more memory."""


def best_batch(engine: Engine, patch_BCXYZ: PatchesBCXYZ) -> int:
    """Try batches of 1, 2, 4 and so on up to the engine's preferred one, and return the fastest a patch.

    An engine that prefers single patches is not tried at all. A batch that the engine has no memory for ends the trial.

    Args:
        engine: Ready.
        patch_BCXYZ: One patch.
    """
    best, least = 1, np.inf
    size = 1
    while size <= engine.preferred_batch and engine.preferred_batch > 1:
        patches_BCXYZ = np.repeat(patch_BCXYZ, size, axis=0)
        try:
            seconds = min(_seconds(engine, patches_BCXYZ) for _ in range(2)) / size
        except EngineError:
            if size == 1:
                raise
            break
        if seconds > _WORTHWHILE * least:
            break
        best, least, size = size, seconds, 2 * size
    return best


def _seconds(engine: Engine, patches_BCXYZ: PatchesBCXYZ) -> float:
    started = time.perf_counter()
    engine.run(patches_BCXYZ)
    return time.perf_counter() - started
