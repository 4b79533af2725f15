"""An engine that mixes up patches is refused before it is used. What a single wrong answer gets: test_model.py."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.canary import check_batches
from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.package import MODELS, Canary
from tests.inference.conftest import EngineFake, install_only

SIZE = (6, 5, 4)


@pytest.fixture
def canary() -> Canary:
    patches = np.random.default_rng(0).standard_normal((1, 1, *SIZE), dtype=np.float32)
    logits = network(patches)
    return Canary(patches, logits, logits[0].argmax(axis=0).astype(np.uint8))


def network(patches_BCXYZ: np.ndarray) -> np.ndarray:
    """Each patch's own answer, in two classes."""
    return np.concatenate([patches_BCXYZ, -patches_BCXYZ], axis=1)


class ParallelEngineFake(EngineFake):
    """Takes several calls at a time."""

    def __init__(self, answer, preferred_batch: int = 1, concurrency: int = 1) -> None:
        super().__init__(answer, preferred_batch)
        self.concurrency = concurrency


def check(engine: ParallelEngineFake, canary: Canary) -> None:
    check_batches(engine, canary, engine.preferred_batch)


@pytest.mark.parametrize(("batch", "calls"), [(1, 1), (2, 1), (5, 1), (8, 1), (19, 1), (1, 2), (1, 4), (1, 12), (4, 3)])
def test_an_engine_that_keeps_patches_apart_is_taken(batch, calls, canary):
    engine = ParallelEngineFake(network, batch, calls)
    check(engine, canary)
    assert max(engine.batches, default=1) == batch


def test_an_engine_of_one_patch_and_one_call_costs_nothing(canary):
    engine = ParallelEngineFake(network)
    check(engine, canary)
    assert engine.batches == []


def test_a_large_batch_costs_eight_single_patches_and_itself(canary):
    engine = ParallelEngineFake(network, preferred_batch=32)
    check(engine, canary)
    assert sorted(engine.batches) == [1] * 9 + [32]


def swapped(logits):
    logits[[0, 1]] = logits[[1, 0]]
    return logits


def nan_in_the_last(logits):
    logits[-1, 0, 0, 0, 0] = np.nan
    return logits


MIXED = {
    "reversed": lambda logits: logits[::-1],
    "rolled": lambda logits: np.roll(logits, 1, axis=0),
    "rolled by the number of images": lambda logits: np.roll(logits, 8, axis=0),
    "two swapped": swapped,
    "the first for all": lambda logits: np.repeat(logits[:1], len(logits), axis=0),
    "the mean of all": lambda logits: np.broadcast_to(logits.mean(axis=0), logits.shape),
    "one too few": lambda logits: logits[:-1],
    "one too many": lambda logits: np.concatenate([logits, logits[:1]]),
    "background but for the first": lambda logits: np.concatenate([logits[:1], logits[1:] * 0]),
    "NaN in the last": nan_in_the_last,
}


EIGHT_ON = "rolled by the number of images"
BATCHES = [2, 3, 8, 16]
CASES = [(wrong, size) for wrong in MIXED for size in BATCHES if wrong != EIGHT_ON or 8 % size]  # else the same place


@pytest.mark.parametrize(("wrong", "batch"), CASES)
def test_an_engine_that_mixes_up_a_batch_is_refused(wrong, batch, canary):
    def answer(patches):
        logits = network(patches)
        return MIXED[wrong](logits) if len(patches) > 1 else logits

    with pytest.raises(EngineError, match=r"fake 1\.0: expected the same answer .* in a batch, .*mixes up patches"):
        check(ParallelEngineFake(answer, batch), canary)


@pytest.mark.parametrize("precision", MODELS)
def test_coarse_arithmetic_may_differ_a_little_and_is_no_licence_to_mix(precision, canary):
    small = replace(canary, patches_BCXYZ=canary.patches_BCXYZ * np.float32(0.1))
    engine = ParallelEngineFake(lambda patches: network(patches) + 1e-3 * (len(patches) > 1), 4)
    engine.precision = precision
    check(engine, small)
    engine = ParallelEngineFake(lambda patches: network(patches)[::-1], 4)
    engine.precision = precision
    with pytest.raises(EngineError, match="mixes up patches"):
        check(engine, small)


def test_an_engine_that_hands_one_calls_answer_to_another_is_refused(canary):
    """All calls share one buffer: the last one in writes it, and everybody reads that."""
    everybody, buffer = threading.Barrier(3), {}

    def answer(patches):
        buffer["logits"] = network(patches)
        if threading.current_thread() is not threading.main_thread():
            everybody.wait()
        return buffer["logits"]

    with pytest.raises(EngineError, match=r"expected the same answer .* in calls at a time, .*mixes up patches"):
        check(ParallelEngineFake(answer, concurrency=3), canary)


def test_calls_really_come_at_a_time(canary):
    """An engine that waits for four calls before it answers any gets them."""
    everybody = threading.Barrier(4, timeout=20)

    def answer(patches):
        if threading.current_thread() is not threading.main_thread():
            everybody.wait()
        return network(patches)

    check(ParallelEngineFake(answer, concurrency=4), canary)


def too_much(patches) -> EngineError:
    return EngineError("fake 1.0", expected="memory", found=f"{len(patches)} patches", remedy="Take fewer")


def test_an_engine_that_cannot_take_the_calls_it_promises_is_refused_in_its_own_words(canary):
    def answer(patches):
        if threading.current_thread() is not threading.main_thread():
            raise too_much(patches)
        return network(patches)

    with pytest.raises(EngineError, match="expected memory"):
        check(ParallelEngineFake(answer, concurrency=2), canary)


def test_a_model_is_not_opened_with_an_engine_that_mixes_up_patches(model, exported, monkeypatch):
    engine = ParallelEngineFake(lambda patches: model.engine.run(patches)[::-1], preferred_batch=2)
    install_only(engine, monkeypatch)
    monkeypatch.setattr("scnas_deploy.inference.model.best_batch", lambda *_: 2)
    with pytest.raises(EngineError, match="mixes up patches"):
        load_model(exported.package)
