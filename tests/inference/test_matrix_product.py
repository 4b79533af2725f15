"""The machine's peak is measured, or it is said why not."""

import numpy as np
import pytest

from scnas_deploy.errors import EngineError
from scnas_deploy.inference import matrix_product
from scnas_deploy.inference.matrix_product import matrix_product_gmacs


def test_a_rate_is_positive_and_below_what_any_processor_reaches():
    assert 0.1 < matrix_product_gmacs(1, size=256) < 1e6


def test_the_threads_are_settled_before_numpys_library_is_loaded(monkeypatch):
    asked = {}

    class EndedFake:
        returncode, stdout = 0, "12.5"

    def run(command, *, env, **_):
        asked.update(env)
        return EndedFake

    monkeypatch.setattr(matrix_product.subprocess, "run", run)
    assert matrix_product_gmacs(3) == 12.5
    assert {asked[name] for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")} == {"3"}
    assert asked["PATH"]


def test_the_shortest_time_counts_and_not_the_first(monkeypatch):
    ticks = iter([0.0, 0.125, 0.25, 0.25, 0.25, 0.3125, 9.0])
    monkeypatch.setattr(matrix_product.time, "perf_counter", lambda: next(ticks))
    called = []
    assert matrix_product._shortest_seconds(lambda: called.append(1)) == 0.0625
    assert len(called) == 3  # the first warms up


def test_the_faster_library_counts(monkeypatch):
    seconds = {"slow": 2.0, "fast": 0.5}
    monkeypatch.setattr(matrix_product, "_products", lambda *_: iter(seconds))
    monkeypatch.setattr(matrix_product, "_shortest_seconds", seconds.get)
    assert matrix_product._rate_here(10, 1) == pytest.approx(1000 / 0.5 / 1e9)


def test_all_libraries_multiply():
    left, right = np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(20, dtype=np.float32).reshape(4, 5)
    numpys, openvinos = (product() for product in matrix_product._products(left, right, 1))
    np.testing.assert_array_equal(numpys, left @ right)
    np.testing.assert_array_equal(openvinos[0], left @ right)


def test_a_process_that_fails_is_an_engine_error():
    with pytest.raises(EngineError, match="matrix product: expected a rate of -1 x -1 matrices on 1 threads, found"):
        matrix_product_gmacs(1, size=-1)
