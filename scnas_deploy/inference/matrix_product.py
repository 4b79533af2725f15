"""A machine's peak: float32 multiply-accumulates a second in a large matrix product.

The product is taken by NumPy's library and, where it is installed, by OpenVINO; the faster one counts, since either may
not know a new processor: OpenBLAS 0.3.31 takes one with AVX-512 for one without. Run as a program it prints the rate of
its own process.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require

SIZE: Final = 2048
"""Rows and columns of the square factors: large enough for many cores; OpenVINO is slower with larger ones."""
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
    command = [sys.executable, "-m", __name__, str(size), str(num_threads)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode:
        raise EngineError(
            "matrix product",
            expected=f"a rate of {size} x {size} matrices on {num_threads} threads",
            found=(ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1][:200],
            remedy="Free memory, or measure with fewer --threads",
        )
    return float(ended.stdout)


def _rate_here(size: int, num_threads: int) -> float:
    """The rate of the fastest product there is."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    shortest = min(_shortest_seconds(product) for product in _products(left, right, num_threads))
    return size**3 / shortest / 1e9


def _shortest_seconds(product: Callable[[], object]) -> float:
    """Of the products that fit into the time, after one that warms up."""
    product()
    shortest, began = np.inf, time.perf_counter()
    while shortest == np.inf or time.perf_counter() - began < _SECONDS:
        started = time.perf_counter()
        product()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def _products(left: np.ndarray, right: np.ndarray, num_threads: int) -> Iterator[Callable[[], object]]:
    out = np.empty((len(left), right.shape[1]), dtype=np.float32)
    yield lambda: np.matmul(left, right, out=out)
    if find_spec("openvino") is not None:
        request = _openvino_request(left.shape, right.shape, num_threads)
        yield lambda: request.infer([left, right], share_inputs=True, share_outputs=True)


def _openvino_request(left: tuple[int, ...], right: tuple[int, ...], num_threads: int) -> Any:
    openvino = require("openvino", extra="cpu", purpose="OpenVINO's matrix product")
    operations = require("openvino.opset13", extra="cpu", purpose="OpenVINO's matrix product")
    factors = [operations.parameter(list(shape), np.float32) for shape in (left, right)]
    model = openvino.Model([operations.matmul(*factors, False, False)], factors)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": num_threads}
    return openvino.Core().compile_model(model, "CPU", settings).create_infer_request()


if __name__ == "__main__":
    sys.stdout.write(f"{_rate_here(int(sys.argv[1]), int(sys.argv[2]))}\n")
