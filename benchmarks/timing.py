"""How long an exported network takes."""

import statistics
import time

import numpy as np

from scnas_deploy.data.plan import Plan
from scnas_deploy.inference.engines.openvino import OpenVinoEngine


def openvino_milliseconds(model: bytes, plan: Plan, *, num_threads: int = 1, repeats: int = 9) -> float:
    """Median milliseconds of one patch of the plan on OpenVINO, after two that do not count."""
    engine = OpenVinoEngine(model, num_threads=num_threads)
    patch = np.random.default_rng(0).normal(size=(1, len(plan.channels), *plan.patch_size)).astype(np.float32)
    times = []
    for _ in range(2 + repeats):
        started = time.perf_counter()
        engine.run(patch)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[2:])
