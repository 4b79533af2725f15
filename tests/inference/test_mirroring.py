"""Mirror images are turned back before they are averaged."""

import numpy as np
import pytest

from scnas_deploy.inference.mirroring import MirroringEngine
from scnas_deploy.inference.predictor import Predictor
from tests.data.memory import peak_bytes
from tests.inference.conftest import EngineFake, constant_logits


def ramp_along(axis):
    """An engine that prefers one end of an axis: two classes, the second rising along it."""

    def answer(patches_BCXYZ):
        size = patches_BCXYZ.shape[axis + 2]
        rising = np.arange(size).reshape([-1 if a == axis else 1 for a in range(3)])
        second = patches_BCXYZ[:, :1] + rising
        return np.concatenate([patches_BCXYZ[:, :1], second], axis=1)

    return answer


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_leans_to_one_side_is_evened_out(axis):
    patches = np.random.default_rng(0).normal(size=(2, 1, 4, 6, 8)).astype(np.float32)
    logits = MirroringEngine(EngineFake(ramp_along(axis)), (0, 1, 2)).run(patches)
    np.testing.assert_allclose(logits[:, 0], patches[:, 0], rtol=1e-5)
    middle = (patches.shape[axis + 2] - 1) / 2
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], middle, rtol=1e-5)


def test_one_answer_is_held_beside_the_sum_and_one_turned_patch():
    engine = EngineFake(constant_logits(0, 1, 2))
    engine.run = lambda patches: np.zeros((1, 4, *patches.shape[2:]), np.float32)
    patches = np.zeros((1, 2, 64, 64, 32), np.float32)
    assert peak_bytes(lambda: MirroringEngine(engine, (0, 1, 2)).run(patches)) < 1.1 * (4 + 4 + 2) / 2 * patches.nbytes


def test_an_engines_answer_is_not_written_over():
    """It may be read-only, or the buffer of the next answer."""
    answer = np.ones((1, 2, 4, 4, 4), np.float32)
    answer.flags.writeable = False
    engine = EngineFake(constant_logits(0, 1))
    engine.run = lambda patches: answer
    logits = MirroringEngine(engine, (0, 1, 2)).run(np.zeros((1, 1, 4, 4, 4), np.float32))
    np.testing.assert_array_equal(logits, answer)


def test_a_forecast_counts_what_a_mirrored_call_holds(phantom_plan):
    plain = Predictor(EngineFake(constant_logits(0, 1, 2)), phantom_plan, batch=2)
    mirrored = plain.on(MirroringEngine(plain.engine, (0, 1, 2)))
    (sweep,) = plain.sweeps(phantom_plan.patch_size)
    tensors = 2 * (len(phantom_plan.channels) + phantom_plan.num_classes)
    more = mirrored.needed_bytes(sweep) - plain.needed_bytes(sweep)
    assert more == 4 * tensors * np.prod(phantom_plan.patch_size)


def test_only_the_named_axes_are_mirrored():
    engine = EngineFake(ramp_along(0))
    patches = np.zeros((1, 1, 4, 4, 4), np.float32)
    logits = MirroringEngine(engine, (1, 2)).run(patches)
    np.testing.assert_allclose(logits[0, 1, :, 0, 0], np.arange(4))
    assert len(engine.batches) == 4
    assert MirroringEngine(engine, ()).run(patches).shape == (1, 2, 4, 4, 4)
    assert "8 ways" in MirroringEngine(engine, (0, 1, 2)).name
