"""The preview shows the patient as radiologists look at it, with the mask where it is."""

import numpy as np
import pytest

from scnas_deploy.data.volume import Volume
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.color import cielab, rgb
from scnas_deploy.results.preview import make_preview
from tests.data.drawing import ORIENTATIONS, stored_as
from tests.results.conftest import LABELS

LIVER = np.array(rgb(LABELS[0].color))


def preview(codes: str) -> np.ndarray:
    """Of a patient with a small structure to the right, in front and above; stored in any way."""
    image, labels = np.zeros((40, 50, 60), np.int16), np.zeros((40, 50, 60), np.uint8)
    image[5:35, 5:45, 5:55] = 100
    labels[28:33, 36:43, 46:52] = 1
    stored, affine = stored_as(codes, image, np.eye(4))
    stored_labels, _ = stored_as(codes, labels, np.eye(4))
    study = Volume(data=stored[None], affine_ras=affine)
    return make_preview(
        Segmentation(
            labels_XYZ=stored_labels,
            study=study,
            labels=LABELS,
            model_name="drawn",
            model_digest="0" * 64,
            engine="none",
            outside_limits=(),
        )
    )


@pytest.mark.parametrize("codes", ORIENTATIONS[::5])
def test_right_is_left_front_is_up_and_above_is_up(codes):
    picture = preview(codes)
    rows, columns = np.nonzero((picture == LIVER).all(axis=2))
    widths = np.cumsum([0, *(12 + round(384 * n / m) for n, m in ((40, 50), (40, 60), (50, 60)))])
    for number in range(3):
        inside = (columns >= widths[number]) & (columns < widths[number + 1])
        middle = (widths[number] + 12 + widths[number + 1]) / 2
        assert inside.any()
        assert columns[inside].mean() < middle  # right of the patient; front of the patient in the third
        assert rows[inside].mean() < 12 + 384 / 2


def test_however_a_study_is_stored_the_picture_is_the_same():
    first, *others = (preview(codes) for codes in ("RAS", "LPS", "AIR", "SPL"))
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("#ffffff", (100, 0, 0)),
        ("#000000", (0, 0, 0)),
        ("#ff0000", (54.29, 80.81, 69.89)),
        ("#0000ff", (29.57, 68.3, -112.03)),
    ],
)
def test_colours_are_those_of_d50(color, expected):
    """Values of Lindbloom's calculator for sRGB adapted to D50."""
    assert cielab(color) == pytest.approx(expected, abs=0.05)
