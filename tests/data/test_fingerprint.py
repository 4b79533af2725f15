import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scnas_deploy.data.fingerprint import measure_case, nonzero_box, summarise
from scnas_deploy.data.volume import Volume
from tests.data.drawing import ORIENTATIONS, noise, oblique_affine, stored_as
from tests.data.memory import peak_bytes

SPACING_MM = (0.5, 1.0, 3.0)
SHAPE = (20, 16, 12)


def case(codes="RAS", shape=SHAPE, case_id="a", channels=1, labels=None, spacing=SPACING_MM):
    affine = oblique_affine(spacing)
    image = np.stack([noise(shape, seed=channel) for channel in range(channels)])
    image[:, :3] = image[..., -2:] = 0
    if labels is None:
        labels = np.zeros(shape, np.uint8)
        labels[5:9, 5:9, 5:9] = 1
        labels[12:14, 5:9, 5:9] = 2
    turned = [stored_as(codes, channel, affine)[0] for channel in image]
    volume = Volume(data=np.stack(turned), affine_ras=stored_as(codes, image[0], affine)[1])
    return measure_case(case_id, volume, stored_as(codes, labels, affine)[0])


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_figures_are_along_r_a_s_however_the_study_is_stored(codes):
    figures = case(codes)
    np.testing.assert_allclose(figures.spacing_mm, SPACING_MM)
    assert figures.shape == SHAPE
    assert figures.cropped_shape == (17, 16, 10)
    assert figures.label_ml == pytest.approx({1: 64 * 1.5 / 1000, 2: 32 * 1.5 / 1000})
    assert sorted(figures.foreground[0]) == sorted(case().foreground[0])


def test_foreground_is_taken_at_the_same_voxels_in_each_channel():
    figures = case(channels=2)
    image = np.stack([noise(SHAPE, seed=channel) for channel in range(2)])
    expected = np.concatenate(
        [image[:, 5:9, 5:9, 5:9].reshape(2, -1), image[:, 12:14, 5:9, 5:9].reshape(2, -1)], axis=1
    )
    assert sorted(map(tuple, np.stack(figures.foreground, axis=1))) == sorted(map(tuple, expected.T))


def test_percentiles_are_over_the_whole_image():
    data = np.arange(1000.0, dtype=np.float32).reshape(1, 10, 10, 10)
    figures = measure_case("a", Volume(data=data, affine_ras=np.eye(4)), np.zeros((10, 10, 10), np.uint8))
    np.testing.assert_allclose(figures.percentiles, [(4.995, 994.005)])


@pytest.mark.parametrize("count", [9_999, 10_001, 19_999, 25_000])
def test_at_most_ten_thousand_foreground_voxels_are_kept(count):
    labels = np.zeros(32**3, np.uint8)
    labels[:count] = 1
    volume = Volume(data=noise((1, 32, 32, 32)), affine_ras=np.eye(4))
    figures = measure_case("a", volume, labels.reshape(32, 32, 32))
    assert 5_000 <= len(figures.foreground[0]) <= 10_000


def test_the_summary_of_cases_that_differ():
    cases = [
        case(shape=(20, 16, 12), spacing=(0.5, 1.0, 3.0)),
        case(shape=(22, 16, 12), spacing=(0.6, 1.2, 2.0)),
        case(shape=(30, 16, 12), spacing=(1.0, 0.8, 2.5), labels=np.ones((30, 16, 12), np.uint8)),
    ]
    fingerprint = summarise(cases)
    assert fingerprint.num_cases == 3
    assert fingerprint.spacing_min_mm == (0.5, 0.8, 2.0)
    assert fingerprint.spacing_median_mm == (0.6, 1.0, 2.5)
    assert fingerprint.spacing_max_mm == (1.0, 1.2, 3.0)
    assert fingerprint.extent_min_mm == (10.0, 12.8, 24.0)
    assert fingerprint.extent_max_mm == (30.0, 19.2, 36.0)
    assert fingerprint.cropped_extent_median_mm == (11.4, 16.0, 25.0)
    assert fingerprint.label_cases == {1: 3, 2: 2}
    assert fingerprint.label_median_ml[2] == pytest.approx(np.median([32 * 1.5, 32 * 1.44]) / 1000, abs=1e-4)


def test_one_case_with_an_outlier_does_not_move_the_foreground_range():
    spiked = case()
    spiked.foreground[0][0] = 1e9
    figures = summarise([case(case_id=str(number)) for number in range(9)] + [spiked]).channels[0]
    assert figures.foreground_high < 200
    assert figures.foreground_mean < 200


def test_a_dataset_without_foreground_still_has_figures():
    empty = case(labels=np.zeros(SHAPE, np.uint8))
    fingerprint = summarise([empty])
    assert fingerprint.label_cases == {}
    assert fingerprint.channels[0].foreground_high <= 200


def test_the_digest_changes_with_the_dataset_and_only_with_it():
    assert summarise([case()]).digest == summarise([case()]).digest
    assert summarise([case()]).digest != summarise([case(spacing=(0.5, 1.0, 3.1))]).digest


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 8)] * 3),
    channels=st.integers(1, 3),
    data=st.data(),
)
def test_the_box_holds_every_non_zero_voxel_and_touches_one_on_each_side(shape, channels, data):
    image = np.zeros((channels, *shape), np.int16)
    places = data.draw(st.lists(st.tuples(*(st.integers(0, n - 1) for n in image.shape)), min_size=1, max_size=4))
    for place in places:
        image[place] = -3
    box = nonzero_box(image)
    assert np.count_nonzero(image[(slice(None), *box)]) == np.count_nonzero(image)
    for axis, side in enumerate(box):
        indices = [place[axis + 1] for place in places]
        assert (side.start, side.stop) == (min(indices), max(indices) + 1)


def test_the_box_of_an_image_of_zeros_is_the_whole_image():
    assert nonzero_box(np.zeros((2, 3, 4, 5))) == (slice(0, 3), slice(0, 4), slice(0, 5))


@pytest.mark.parametrize("order", ["C", "F"])
def test_looking_for_the_box_copies_nothing(order):
    image = np.zeros((1, 90, 80, 70), np.int16, order=order)
    image[0, 40, 41, 42] = 1
    assert peak_bytes(lambda: nonzero_box(image)) < image.nbytes / 5
