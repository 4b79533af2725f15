"""An engine is kept busy, and answers come back in the order in which they were asked for."""

import threading
import time

import numpy as np
import pytest

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.pipeline import Caller, calls_ahead
from scnas_deploy.inference.sweep import sweeps
from scnas_deploy.inference.tiling import TilingConfig
from tests.inference.conftest import EngineFake, constant_logits

PATCHES = list(sweeps((24, 8, 8), TilingConfig(patch_size=(8, 8, 8)))[0].patches())
IMAGE = np.arange(24, dtype=np.float32)[None, :, None, None] * np.ones((1, 24, 8, 8), dtype=np.float32)


def cut(patch):
    return IMAGE[(slice(None), *patch.box)]


class SlowEngineFake(EngineFake):
    """The later calls answer first; notes how many ran at a time."""

    def __init__(self, concurrency):
        super().__init__(lambda patches: patches)
        self.concurrency = concurrency
        self.running = self.most = 0
        self._lock = threading.Lock()

    def run(self, patches_BCXYZ):
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.02 / (1 + float(patches_BCXYZ[0, 0, 0, 0, 0])))
        with self._lock:
            self.running -= 1
        return super().run(patches_BCXYZ)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_answers_come_in_order_each_with_its_own_patch(concurrency, batch):
    engine = SlowEngineFake(concurrency)
    found = list(Caller(engine, batch).answers(PATCHES, cut))
    assert [patch for patch, _ in found] == PATCHES
    for patch, logits in found:
        np.testing.assert_array_equal(logits, cut(patch))
    assert engine.most <= concurrency


def test_an_engine_that_takes_several_calls_gets_them_at_a_time():
    engine = EngineFake(lambda patches: patches)
    engine.concurrency = 2
    both = threading.Barrier(2, timeout=30)
    engine._answer = lambda patches: (both.wait(), patches)[1]
    assert len(list(Caller(engine, 1).answers(PATCHES[:4], cut))) == 4


def test_patches_known_to_be_background_are_not_computed_and_keep_their_place():
    engine = EngineFake(lambda patches: patches)
    found = list(Caller(engine, 2).answers(PATCHES, lambda patch: None if patch.row % 2 else cut(patch)))
    assert [patch for patch, _ in found] == PATCHES
    assert [logits is None for _, logits in found] == [patch.row % 2 == 1 for patch in PATCHES]
    assert sum(engine.batches) == sum(patch.row % 2 == 0 for patch in PATCHES)


def test_no_more_patches_are_cut_than_are_needed_to_keep_the_engine_busy():
    engine, seen = SlowEngineFake(concurrency=1), []
    stream = Caller(engine, 1).answers(PATCHES, lambda patch: (seen.append(patch), cut(patch))[1])
    next(stream)
    assert len(seen) == calls_ahead(engine)
    stream.close()
    assert engine.running == 0
    assert len(engine.batches) <= calls_ahead(engine)


def test_one_study_after_another_is_answered_by_the_same_threads():
    names = set()
    engine = EngineFake(lambda patches: (names.add(threading.get_ident()), patches)[1])
    caller = Caller(engine, 1)
    for _ in range(3):
        assert len(list(caller.answers(PATCHES, cut))) == len(PATCHES)
    assert len(names) == 1


def test_threads_end_with_their_caller():
    threads = []
    engine = EngineFake(lambda patches: (threads.append(threading.current_thread()), patches)[1])
    caller = Caller(engine, 1)
    list(caller.answers(PATCHES, cut))
    del caller
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


WRONG = {
    "too few patches": lambda patches: constant_logits(0, 1)(patches[:-1]),
    "another size": lambda patches: constant_logits(0, 1)(patches[..., :-1]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_of_another_shape_is_an_engine_error(wrong):
    with pytest.raises(EngineError, match=r"expected an answer to 2 patch.* voxels, found logits of the shape"):
        list(Caller(EngineFake(WRONG[wrong]), 2).answers(PATCHES, cut))


def test_an_engines_error_reaches_the_caller():
    def fail(patches):
        raise EngineError("fake", expected="memory", found="none", remedy="Buy some")

    with pytest.raises(EngineError, match="Buy some"):
        list(Caller(EngineFake(fail), 1).answers(PATCHES, cut))
