"""What patches answer is what the whole volume gets."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from scnas_deploy.data.plan import Label
from scnas_deploy.errors import EngineError
from scnas_deploy.inference.pipeline import calls_ahead
from scnas_deploy.inference.predictor import Predictor, label_values
from scnas_deploy.inference.reducing import Result
from tests.inference.conftest import EngineFake, constant_logits

PATCH = (8, 8, 8)
SHAPES = [(5, 6, 7), (8, 8, 8), (3, 20, 8), (9, 17, 13), (41, 9, 8), (9, 41, 10), (8, 11, 41)]


def plan_of(plan, patch_size=PATCH, values=(1,)):
    labels = tuple(Label(value=value, name=f"structure {value}", color="#ff0000") for value in values)
    return plan.model_copy(update={"patch_size": patch_size, "labels": labels})


def noise(shape, channels=1, seed=0):
    return np.random.default_rng(seed).normal(size=(channels, *shape)).astype(np.float32)


@pytest.fixture
def blended(monkeypatch):
    """The blended logits of the next prediction, caught before they are reduced to classes."""
    pieces = []
    write = Result.write

    def spy(self, box, logits_KXYZ, empty):
        pieces.append((box, logits_KXYZ.copy()))
        write(self, box, logits_KXYZ, empty)

    monkeypatch.setattr(Result, "write", spy)

    def whole():
        shape = [max(box[axis].stop for box, _ in pieces) for axis in range(3)]
        logits = np.full((len(pieces[0][1]), *shape), np.nan, dtype=np.float32)
        for box, piece in pieces:
            assert np.isnan(logits[(slice(None), *box)]).all()
            logits[(slice(None), *box)] = piece
        return logits

    return whole


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_answer_stays_constant_at_every_voxel(shape, phantom_plan, blended):
    labels = Predictor(EngineFake(constant_logits(-0.5, 0.75)), plan_of(phantom_plan)).predict(noise(shape))
    logits = blended()
    assert logits.shape == (2, *(max(n, 8) for n in shape))
    np.testing.assert_allclose(logits[0], -0.5, rtol=0, atol=1e-6)
    np.testing.assert_allclose(logits[1], 0.75, rtol=0, atol=1e-6)
    assert labels.shape == shape
    assert (labels == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_background_answer_labels_nothing(shape, phantom_plan):
    engine = EngineFake(constant_logits(0.25, 0.2))
    assert not Predictor(engine, plan_of(phantom_plan)).predict(noise(shape)).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_thresholding_patches_is_thresholding_the_whole(shape, phantom_plan):
    def answer(patches):
        return np.stack([np.full_like(patches[:, 0], 0.5), patches[:, 0]], axis=1)

    image = noise(shape)
    image[np.abs(image - 0.5) < 1e-4] = 0  # too close to the threshold for float32 sums
    labels = Predictor(EngineFake(answer), plan_of(phantom_plan)).predict(image)
    np.testing.assert_array_equal(labels, image[0] > 0.5)


def naive_logits(image, answer, patch_size, overlap=0.5):
    """The textbook: one weight volume, one logit volume, a division at the end; all in float64."""
    missing = [max(0, patch - size) for patch, size in zip(patch_size, image.shape[1:], strict=True)]
    before = [total // 2 for total in missing]
    padded = np.pad(image, ((0, 0), *((b, m - b) for b, m in zip(before, missing, strict=True))))
    grids = np.meshgrid(*((np.arange(n) - (n - 1) / 2) / (n / 8) for n in patch_size), indexing="ij")
    gaussian = np.exp(-0.5 * sum(grid**2 for grid in grids))
    total, weight = 0, np.zeros(padded.shape[1:])
    for x in naive_starts(padded.shape[1], patch_size[0], overlap):
        for y in naive_starts(padded.shape[2], patch_size[1], overlap):
            for z in naive_starts(padded.shape[3], patch_size[2], overlap):
                box = tuple(slice(a, a + n) for a, n in zip((x, y, z), patch_size, strict=True))
                logits = answer(padded[(slice(None), *box)][None])[0].astype(np.float64)
                if weight.max() == 0:
                    total = np.zeros((len(logits), *padded.shape[1:]))
                total[(slice(None), *box)] += logits * gaussian
                weight[box] += gaussian
    inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape[1:], strict=True))
    return (total / weight)[(slice(None), *inside)]


def naive_starts(size, patch, overlap):
    steps = ceil((size - patch) / int(patch * (1 - overlap)))
    return [round(Fraction((size - patch) * step, steps)) for step in range(steps + 1)] if steps else [0]


PLACED_PATCH = (8, 12, 16)


def placed_answer(patches):
    """Depends on where a voxel lies in its patch and on what it holds, so that patches disagree."""
    pattern = np.random.default_rng(7).normal(size=(3, *PLACED_PATCH))
    x, y, z = np.moveaxis(patches.astype(np.float64), 1, 0)
    content = np.stack([np.sin(x * 1.7 + y), np.cos(y * 0.9 - z), np.sin(z * 1.3 + x * y * 0.1)], axis=1)
    return (content + pattern).astype(np.float32)


def coordinates(shape):
    return np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))


@pytest.mark.parametrize("shape", [(19, 21, 23), (40, 13, 17), (9, 50, 16), (6, 11, 45), (5, 30, 9)])
def test_labels_are_those_of_a_naive_gaussian_blending(shape, phantom_plan, blended):
    image = coordinates(shape)
    labels = Predictor(EngineFake(placed_answer), plan_of(phantom_plan, PLACED_PATCH, (1, 2))).predict(image)
    expected = naive_logits(image, placed_answer, PLACED_PATCH)
    if all(n >= patch for n, patch in zip(shape, PLACED_PATCH, strict=True)):
        np.testing.assert_allclose(blended(), expected, rtol=0, atol=1e-5)
    ordered = np.sort(expected, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-5
    assert clear.mean() > 0.999
    np.testing.assert_array_equal(labels[clear], expected.argmax(axis=0)[clear])
    assert set(np.unique(labels)) == {0, 1, 2}


@pytest.mark.parametrize("batch", [3, 7])
def test_the_batch_size_changes_no_label(batch, phantom_plan):
    plan = plan_of(phantom_plan, PLACED_PATCH, (1, 2))
    image = coordinates((19, 21, 40))
    one, many = EngineFake(placed_answer), EngineFake(placed_answer)
    expected = Predictor(one, plan).predict(image)
    np.testing.assert_array_equal(Predictor(many, plan, batch=batch).predict(image), expected)
    assert set(one.batches) == {1}
    assert max(many.batches) == batch
    assert sum(many.batches) == sum(one.batches)


@pytest.mark.parametrize("batch", [1, 3])
def test_progress_counts_every_patch_once(batch, phantom_plan):
    engine, seen = EngineFake(constant_logits(0, 1)), []
    predictor = Predictor(engine, plan_of(phantom_plan), batch=batch)
    predictor.predict(noise((8, 13, 30)), lambda *counts: seen.append(counts))
    total = len(naive_starts(13, 8, 0.5)) * len(naive_starts(30, 8, 0.5))
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert sum(engine.batches) == total


def test_an_exception_in_progress_stops_the_run(phantom_plan):
    class EnoughError(Exception):
        pass

    def stop(done, total):
        raise EnoughError

    engine = EngineFake(constant_logits(0, 1))
    with pytest.raises(EnoughError):
        Predictor(engine, plan_of(phantom_plan)).predict(noise((8, 8, 40)), stop)
    assert 1 <= len(engine.batches) <= calls_ahead(engine)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_logit_that_is_no_number_in_the_last_patch_is_an_error(value, phantom_plan):
    count = 0

    def answer(patches):
        nonlocal count
        count += 1
        logits = constant_logits(0, 1)(patches)
        if count == 9:
            logits[0, 1, -1, -1, -1] = value
        return logits

    with pytest.raises(EngineError, match=r"fake 1\.0: expected finite logits, found NaN or infinity"):
        Predictor(EngineFake(answer), plan_of(phantom_plan)).predict(noise((8, 8, 40)))
    assert count == 9


@pytest.mark.parametrize(
    ("values", "dtype"), [((3, 300), np.uint16), ((300, 3), np.uint16), ((3, 255), np.uint8), ((7, 256), np.uint16)]
)
def test_classes_become_the_plans_label_values_in_its_order(values, dtype, phantom_plan):
    def answer(patches):
        return np.stack([-np.abs(patches[:, 0] - index) for index in range(3)], axis=1)

    classes = np.random.default_rng(0).integers(0, 3, (9, 17, 13))
    plan = plan_of(phantom_plan, values=values)
    labels = Predictor(EngineFake(answer), plan).predict(classes[None].astype(np.float32))
    assert labels.dtype == dtype == label_values(plan).dtype
    np.testing.assert_array_equal(labels, np.array([0, *values])[classes])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_whole_volume_is_answered_at_once_on_multiples_no_smaller_than_the_patch(shape, phantom_plan):
    seen = []

    def answer(patches):
        seen.append(patches.shape)
        return np.concatenate([-patches, patches], axis=1)

    image = noise(shape)
    labels = Predictor(EngineFake(answer), plan_of(phantom_plan), whole_multiple=4).predict(image)
    assert seen == [(1, 1, *(max(8, ceil(n / 4) * 4) for n in shape))]
    np.testing.assert_array_equal(labels, image[0] > 0)


@pytest.mark.parametrize("probabilities", [False, True])
def test_pieces_that_lie_wholly_in_the_padding_write_nothing(probabilities, phantom_plan, monkeypatch):
    """A patch much longer than the image: its planes are reduced some at a time, the first and last beyond it."""
    image, plan = noise((4, 20, 21)), plan_of(phantom_plan, (24, 8, 8))
    stored = np.full((2, 4, 20, 21), np.nan, dtype=np.float16) if probabilities else None
    monkeypatch.setattr("scnas_deploy.inference.reducing.PIECE_VOXELS", 1000)
    predictor = Predictor(EngineFake(lambda patches: np.concatenate([0 * patches, patches], axis=1)), plan)
    labels = predictor.predict(image, probabilities_KXYZ=stored)
    np.testing.assert_array_equal(labels, image[0] > 0)
    if stored is not None:
        np.testing.assert_allclose(stored[1], 1 / (1 + np.exp(-image[0])), atol=1e-3)


def test_it_says_whether_volumes_are_taken_whole_for_then_no_forecast_knows_what_the_engine_takes(phantom_plan):
    engine = EngineFake(constant_logits(0, 1))
    assert Predictor(engine, plan_of(phantom_plan), whole_multiple=4).whole
    assert not Predictor(engine, plan_of(phantom_plan)).whole
