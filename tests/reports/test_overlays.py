"""Pictures of cases show mask and result where they are, and which is which."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from scnas_deploy.data.volume import Volume
from scnas_deploy.reports.overlays import draw_overlay
from scnas_deploy.results.color import rgb
from scnas_deploy.training.evaluation import LabelledCase
from tests.data.drawing import stored_as
from tests.reports.scored import LABELS

WHITE, RED = (255, 255, 255), rgb(LABELS[0].color)


def drawn(truth_XYZ, predicted_XYZ, *, codes="RAS", spacing_mm=1.0) -> np.ndarray:
    """The picture of a grey study, stored in any way."""
    image = np.full(truth_XYZ.shape, 40, np.int16)
    image[0, 0, 0] = 100
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    stored, placed = stored_as(codes, image, affine)
    masks = [stored_as(codes, mask, affine)[0] for mask in (truth_XYZ, predicted_XYZ)]
    case = LabelledCase(Volume(data=stored[None], affine_ras=placed), *masks)
    return np.asarray(Image.open(io.BytesIO(draw_overlay(case, LABELS))))


def where(picture, color) -> np.ndarray:
    """Rows and columns of a colour, below the names of the planes."""
    return np.argwhere((picture[30:] == color).all(axis=2))


def tiles(picture) -> list[np.ndarray]:
    """The three cuts, which white columns part."""
    gaps = np.flatnonzero((picture == 255).all(axis=(0, 2)))
    ends = [0, *gaps[np.diff(gaps, prepend=-9) > 1], picture.shape[1]]
    return [picture[:, start + (8 if start else 0) : end] for start, end in pairwise(ends)]


@pytest.fixture
def masks():
    """The result lies to the patient's right of the mask and above it; with the margin, both fill the study."""
    truth, predicted = np.zeros((2, 40, 40, 40), np.uint8)
    truth[10:20, 10:25, 10:20], predicted[15:25, 10:25, 15:25] = 1, 1
    return truth, predicted


def test_result_and_mask_lie_as_they_do_in_the_patient(masks):
    axial, coronal, sagittal = tiles(drawn(*masks))
    shift = axial.shape[0] / 40 * 5
    for tile in (axial, coronal):
        assert where(tile, WHITE)[:, 1].mean() - where(tile, RED)[:, 1].mean() == pytest.approx(shift, rel=0.3)
    for tile in (coronal, sagittal):
        assert where(tile, WHITE)[:, 0].mean() - where(tile, RED)[:, 0].mean() == pytest.approx(shift, rel=0.3)


def test_the_mask_is_dashed_and_lies_above_a_result_that_agrees(masks):
    whole = masks[0] | masks[1]
    for tile in tiles(drawn(whole, whole)):
        assert 0.7 < len(where(tile, RED)) / len(where(tile, WHITE)) < 1.4


def test_however_a_study_is_stored_the_picture_is_the_same(masks):
    first, *others = (drawn(*masks, codes=codes) for codes in ("RAS", "LPS", "AIR"))
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_a_small_structure_of_a_large_study_is_seen():
    truth = np.zeros((200, 200, 200), np.uint8)
    truth[100:104, 100:104, 100:104] = 2
    picture = drawn(truth, np.zeros_like(truth), spacing_mm=2.0)
    rows = where(tiles(picture)[0], WHITE)[:, 0]
    assert rows.max() - rows.min() > picture.shape[0] / 8


def test_nothing_at_all_is_still_a_picture():
    empty = np.zeros((20, 30, 40), np.uint8)
    picture = drawn(empty, empty)
    assert len(where(picture, RED)) == 0
    assert picture.shape[1] <= 1120
