"""How long an engine takes for a patch."""

import time
from collections.abc import Sequence

import numpy as np

from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.types import PatchesBCXYZ, Shape3


def latencies_ms(calls: Sequence[tuple[Engine, PatchesBCXYZ]], *, repeats: int) -> list[float]:
    """Milliseconds of one call on each engine: the shortest of several, since what else a machine does only adds.

    The engines take turns, so that a disturbance meets all of them.

    Args:
        calls: Each engine with the patches that it computes.
        repeats: Calls of each engine that count, after two that warm it up.
    """
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(-2, repeats):
        for (engine, patches_BCXYZ), milliseconds in zip(calls, taken, strict=True):
            started = time.perf_counter()
            engine.run(patches_BCXYZ)
            if number >= 0:
                milliseconds.append(1e3 * (time.perf_counter() - started))
    return [min(milliseconds) for milliseconds in taken]


def noise_patch(in_channels: int, patch_size: Shape3) -> PatchesBCXYZ:
    """One patch of standard normal noise, always the same."""
    return np.random.default_rng(0).standard_normal((1, in_channels, *patch_size), dtype=np.float32)
