"""The batch size is chosen by trial, and only where there is a choice."""

import numpy as np
import pytest

from scnas_deploy.errors import EngineError
from scnas_deploy.inference import batching
from scnas_deploy.inference.batching import best_batch
from tests.inference.conftest import EngineFake

PATCH = np.zeros((1, 1, 4, 4, 4), dtype=np.float32)


@pytest.fixture
def clock(monkeypatch):
    """A clock that the engine's calls advance."""
    now = [0.0]
    monkeypatch.setattr(batching.time, "perf_counter", lambda: now[0])
    return now


def engine_taking(clock, seconds, preferred_batch, largest=1000):
    def answer(patches):
        if len(patches) > largest:
            raise EngineError("fake", expected="memory", found="too little", remedy="Use smaller batches")
        clock[0] += seconds(len(patches))
        return patches

    return EngineFake(answer, preferred_batch)


def test_an_engine_that_prefers_single_patches_is_not_tried(clock):
    engine = engine_taking(clock, lambda size: 1.0, 1)
    assert best_batch(engine, PATCH) == 1
    assert engine.batches == []


def test_batches_grow_as_long_as_a_patch_gets_cheaper(clock):
    engine = engine_taking(clock, lambda size: max(size, 4), 64)  # up to four patches cost what one does
    assert best_batch(engine, PATCH) == 4


def test_no_batch_is_larger_than_the_engine_prefers(clock):
    assert best_batch(engine_taking(clock, lambda size: 1.0, 8), PATCH) == 8


def test_a_batch_without_memory_ends_the_trial(clock):
    assert best_batch(engine_taking(clock, lambda size: 1.0, 64, largest=2), PATCH) == 2


def test_an_engine_that_fails_on_one_patch_fails(clock):
    with pytest.raises(EngineError):
        best_batch(engine_taking(clock, lambda size: 1.0, 64, largest=0), PATCH)
