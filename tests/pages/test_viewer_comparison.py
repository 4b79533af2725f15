"""Truth against prediction: scores and differences of small masks worked out by hand."""

import numpy as np
import pytest

from scnas_deploy.data.plan import Label
from scnas_deploy.pages.viewer_comparison import compare
from scnas_deploy.pages.viewer_layers import mask_layer

SPACING = (1.0, 1.0, 1.0)
A, B, C = (Label(value=value, name=name, color="#000000") for value, name in ((1, "a"), (4, "b"), (9, "c")))


def layer(name, values, labels):
    return mask_layer(name, np.array(values, dtype=np.int32).reshape(-1, 1, 1), labels, SPACING, 0.5)


def test_dice_and_differences():
    prediction = layer("Prediction", [1, 1, 4, 4, 0, 0], (A, B))
    truth = layer("Truth", [1, 0, 4, 1, 4, 0], (A, B))
    found = compare([prediction, truth], SPACING, 0.5)
    assert found.dice == {"a": pytest.approx(2 * 1 / 4), "b": pytest.approx(2 * 1 / 4)}
    assert found.differences.numbers_XYZ.ravel().tolist() == [1, 2, 1, 4, 3, 0]
    assert [each.ml for each in found.differences.structures] == [1.0, 0.5, 0.5, 0.5]


def test_structures_are_matched_by_name_and_not_by_value():
    other = Label(value=77, name="a", color="#ffffff")
    found = compare([layer("Prediction", [1, 1, 4], (A, B)), layer("Truth", [77, 77, 9], (other, C))], SPACING, 0.5)
    assert found.dice == {"a": 1.0}
    assert found.differences.numbers_XYZ.ravel().tolist() == [1, 1, 4]


def test_the_only_structures_are_the_same_whatever_they_are_called():
    found = compare([layer("Prediction", [1, 1, 0], (A,)), layer("Truth", [9, 0, 0], (C,))], SPACING, 0.5)
    assert found.dice == {"a": pytest.approx(2 / 3)}


def test_a_structure_in_neither_has_no_score():
    found = compare([layer("Prediction", [1, 0], (A, B)), layer("Truth", [1, 0], (A, B))], SPACING, 0.5)
    assert found.dice == {"a": 1.0, "b": None}


@pytest.mark.parametrize(
    "names", [("Prediction", "Prediction 2"), ("Segmentation 1", "Truth"), ("Prediction", "Truth")]
)
def test_what_cannot_be_compared_is_not(names):
    one, other = (
        layer(names[0], [1, 4], (A, B)),
        layer(names[1], [9, 0], (C, Label(value=2, name="d", color="#000000"))),
    )
    assert compare([one, other], SPACING, 0.5) is None


def test_a_focus_is_a_voxel_of_its_structure():
    ring = np.ones((5, 5, 1), dtype=np.uint8)
    ring[1:4, 1:4] = 0
    (structure,) = mask_layer("x", ring, (A,), (1.0, 2.0, 1.0), 1.0).structures
    assert ring[structure.focus] == 1
    assert structure.num_voxels == 16
