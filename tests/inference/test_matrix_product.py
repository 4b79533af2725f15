"""The machine's peak is measured, or it is said why not."""

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


def test_the_rate_is_multiply_accumulates_over_the_shortest_time(monkeypatch):
    ticks = iter([0.0, 1.0, 1.25, 1.3, 9.0, 9.5, 9.6])
    monkeypatch.setattr(matrix_product.time, "perf_counter", lambda: next(ticks))
    assert matrix_product._rate_here(10) == pytest.approx(1000 / 0.25 / 1e9)


def test_a_process_that_fails_is_an_engine_error():
    with pytest.raises(EngineError, match="matrix product: expected a rate of -1 x -1 matrices on 1 threads, found"):
        matrix_product_gmacs(1, size=-1)
