"""A machine's peak: float32 multiply-accumulates a second in a large matrix product of NumPy's.

Run as a program it prints the rate of its own process.
"""

import os
import subprocess
import sys
import time
from typing import Final

import numpy as np

from scnas_deploy.errors import EngineError

SIZE: Final = 3072
"""Rows and columns of the square factors: large enough for many cores, half a second at most on one."""
_SECONDS: Final = 0.4
_THREADS: Final = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What the libraries behind NumPy read when they are loaded, and never again."""


def matrix_product_gmacs(num_threads: int, *, size: int = SIZE) -> float:
    """Measure the rate in a process of its own, the only way to choose the number of threads.

    Args:
        num_threads: Threads of the product.
        size: Rows and columns of the square factors.

    Returns:
        10^9 multiply-accumulates a second; twice that many floating-point operations.

    Raises:
        EngineError: If the process ends without an answer.
    """
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(num_threads))}
    command = [sys.executable, "-m", __name__, str(size)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode:
        raise EngineError(
            "matrix product",
            expected=f"a rate of {size} x {size} matrices on {num_threads} threads",
            found=(ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1][:200],
            remedy="Free memory, or measure with fewer --threads",
        )
    return float(ended.stdout)


def _rate_here(size: int) -> float:
    """The fastest of the products that fit into the time, after one that warms up."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    product = left @ right
    shortest, began = np.inf, time.perf_counter()
    while shortest == np.inf or time.perf_counter() - began < _SECONDS:
        started = time.perf_counter()
        np.matmul(left, right, out=product)
        shortest = min(shortest, time.perf_counter() - started)
    return size**3 / shortest / 1e9


if __name__ == "__main__":
    sys.stdout.write(f"{_rate_here(int(sys.argv[1]))}\n")
