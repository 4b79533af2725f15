"""The gate lets through what computes the same, and nothing else."""

import numpy as np
import pytest

from scnas_deploy.errors import ExportError, ParityError
from scnas_deploy.export.parity import LIMITS, RealPatches, compare, require_parity
from scnas_deploy.inference.manifest import ParityRecord

SHAPE = (3, 6, 7, 8)


class EngineFake:
    """Answers one stored batch of logits after the other."""

    precision, device, preferred_batch, concurrency = "float32", "CPU", 1, 1

    def __init__(self, name, answers):
        self.name = name
        self._answers = iter(answers)

    def run(self, patches_BCXYZ):
        return next(self._answers)


PATCHES = [RealPatches(np.zeros((1, 1, 6, 7, 8), dtype=np.float32))] * 5


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(1, *SHAPE)).astype(np.float32) * 4 for _ in PATCHES]


def record_of(answers, others):
    (record,) = compare(EngineFake("torch 1", answers), [EngineFake("other 2", others)], PATCHES[: len(answers)])
    return record


def test_equal_answers_pass_with_perfect_figures(answers):
    record = record_of(answers, answers)
    require_parity(record, "float32")
    assert (record.engine, record.num_patches) == ("other 2", 5)
    assert (record.max_abs_error, record.max_rel_error) == (0, 0)
    assert (record.label_agreement, record.label_dice) == (1, 1)


def test_the_figures_are_those_of_the_worst_patch(answers):
    others = [logits.copy() for logits in answers]
    others[3][0, 1, 2, 3, 4] += 0.5
    record = record_of(answers, others)
    assert record.max_abs_error == pytest.approx(0.5, rel=1e-5)
    assert record.max_rel_error == pytest.approx(0.5 / np.abs(answers[3]).max(), rel=1e-5)


@pytest.mark.parametrize("patch", [0, 2, 4])
def test_a_perturbed_engine_is_refused_with_its_figures(patch, answers):
    others = [logits.copy() for logits in answers]
    others[patch] = others[patch] + np.float32(0.02)
    with pytest.raises(ParityError, match=r"other 2: expected logits within 0\.01 .*found 0\.02 and 100.* 5 patches"):
        require_parity(record_of(answers, others), "float32")


@pytest.mark.parametrize("patch", [0, 2, 4])
def test_one_logit_that_is_no_number_is_refused_in_whichever_patch_it_lies(patch, answers):
    for value in (np.nan, np.inf, -np.inf):
        others = [logits.copy() for logits in answers]
        others[patch][0, answers[patch][0, :, 1, 1, 1].argmin(), 1, 1, 1] = value
        with pytest.raises(ParityError, match=r"found 1e\+30"):
            require_parity(record_of(answers, others), "float32")


def test_an_engine_that_answers_nothing_but_nan_is_refused(answers):
    with pytest.raises(ParityError, match=r"found 1e\+30"):
        require_parity(record_of(answers, [np.full_like(logits, np.nan) for logits in answers]), "float32")


def test_other_labels_are_refused_even_where_the_logits_are_close(answers):
    close = [logits * np.float32(1e-4) for logits in answers]
    swapped = [logits[:, ::-1] for logits in close]
    record = record_of(close, swapped)
    assert record.max_abs_error < 1e-2
    with pytest.raises(ParityError):
        require_parity(record, "float32")


@pytest.mark.parametrize(("wrong", "passes"), [(1, True), (2, False)])
def test_one_voxel_in_ten_thousand_is_the_limit(wrong, passes):
    logits = np.zeros((1, 2, 10, 20, 50), dtype=np.float32)
    logits[:, 0] = 1e-3
    other = logits.copy()
    other[0, 1, 0, 0, :wrong] = 2e-3
    record = record_of([logits], [other])
    assert record.label_agreement == 1 - wrong / 10_000
    if passes:
        require_parity(record, "float32")
    else:
        with pytest.raises(ParityError, match=r"99\.98"):
            require_parity(record, "float32")


def test_the_dice_is_that_of_the_worst_class():
    ours, theirs = np.zeros((2, 1, 3, 4, 4, 4), dtype=np.float32)
    ours[0, 0, 2:] = theirs[0, 0, 2:] = 1  # background in half of the volume
    ours[0, 1, 0], theirs[0, 1, 0] = 1, 1  # class 1 agrees in one plane
    ours[0, 2, 1], theirs[0, 1, 1] = 1, 1  # class 2 is taken for class 1 in the other
    record = record_of([theirs], [ours])
    assert record.label_agreement == 0.75
    assert record.label_dice == 0  # class 2; class 1 has 2/3


def logits_of(classes, num_classes=3):
    """Logits that answer the classes."""
    return np.stack([classes == index for index in range(num_classes)], axis=1).astype(np.float32)


def with_truth(truth) -> list[RealPatches]:
    return [RealPatches(np.zeros((len(truth), 1, *truth.shape[1:]), dtype=np.float32), truth)]


def test_the_dice_lost_is_that_of_the_class_that_loses_most():
    truth = np.zeros((1, 4, 4, 4), dtype=np.uint8)
    truth[0, 0], truth[0, 1] = 1, 2
    theirs, ours = truth.copy(), truth.copy()
    theirs[0, 0, 0] = 0  # class 1 has lost something already
    ours[0, 1, 0] = 0  # 12 of 16 voxels of class 2 are left; class 1 gains
    reference, engine = EngineFake("a", [logits_of(theirs)]), EngineFake("b", [logits_of(ours)])
    (record,) = compare(reference, [engine], with_truth(truth))
    assert record.dice_loss == pytest.approx(1 - 24 / 28)


def test_a_network_that_only_gains_loses_less_than_nothing():
    truth = np.ones((1, 4, 4, 4), dtype=np.uint8)
    theirs = truth.copy()
    theirs[0, 0] = 0
    engines = EngineFake("a", [logits_of(theirs, 2)]), [EngineFake("b", [logits_of(truth, 2)])]
    (record,) = compare(*engines, with_truth(truth))
    assert record.dice_loss == pytest.approx(2 * 48 / (64 + 48) - 1)


def test_without_the_truth_no_loss_is_known_and_eight_bits_are_refused(answers):
    record = record_of(answers, answers)
    assert record.dice_loss is None
    with pytest.raises(ParityError, match="no true labels on 5 patches"):
        require_parity(record, "int8")


FIGURES = {
    "max_abs_error": 5.0,
    "max_rel_error": 0.04,
    "label_agreement": 0.9995,
    "label_dice": 0.9,
    "dice_loss": 0.004,
}


@pytest.mark.parametrize(
    ("precision", "changed", "passes"),
    [
        ("float16", {}, True),
        ("float16", {"label_agreement": 0.999}, True),
        ("float16", {"label_agreement": 0.9989}, False),
        ("float16", {"max_rel_error": 0.06}, False),
        ("float16", {"dice_loss": None}, True),
        ("int8", {}, True),
        ("int8", {"label_agreement": 0.99, "max_rel_error": 0.9}, True),
        ("int8", {"label_agreement": 0.9899}, False),
        ("int8", {"dice_loss": 0.005}, True),
        ("int8", {"dice_loss": 0.0051}, False),
        ("int8", {"max_rel_error": 1e30}, False),
    ],
)
def test_each_precision_has_limits_of_its_own(precision, changed, passes):
    record = ParityRecord(engine="other 2", num_patches=10, **{**FIGURES, **changed})
    if passes:
        require_parity(record, precision)
        return
    with pytest.raises(
        ParityError, match=rf"other 2, {precision}: expected .* on 10 patches.*leave this precision out"
    ):
        require_parity(record, precision)


def test_an_engine_that_answers_nothing_but_nan_is_refused_in_every_precision(answers):
    record = record_of(answers, [np.full_like(logits, np.nan) for logits in answers])
    for precision in LIMITS:
        with pytest.raises(ParityError):
            require_parity(record, precision)


def test_several_engines_are_compared_with_one_answer_of_the_reference(answers):
    reference = EngineFake("torch 1", answers)  # has one answer to each batch
    others = [logits + np.float32(0.5) for logits in answers]
    records = compare(reference, [EngineFake("near 1", answers), EngineFake("far 1", others)], PATCHES)
    assert [record.engine for record in records] == ["near 1", "far 1"]
    assert [record.max_abs_error for record in records] == [0, pytest.approx(0.5, rel=1e-5)]


def test_a_class_that_neither_answers_does_not_lower_the_dice():
    logits = np.zeros((1, 3, 4, 4, 4), dtype=np.float32)
    logits[0, 1] = 1
    assert record_of([logits], [logits]).label_dice == 1


def test_an_engine_that_answers_fewer_patches_than_it_got_is_refused(answers):
    """Two equal patches: the one answer would stretch over both."""
    both, first = np.concatenate([answers[0]] * 2), answers[0]
    patches = [RealPatches(np.zeros((2, 1, 6, 7, 8), dtype=np.float32))]
    with pytest.raises(ExportError):
        compare(EngineFake("a", [both]), [EngineFake("b", [first])], patches)
