import numpy as np
import pytest

from scnas_deploy.data.mapped import mapped_array
from scnas_deploy.data.orientation import to_ras
from scnas_deploy.data.plan import ZScore
from scnas_deploy.data.preprocess import check_channels, prepare, prepare_bytes, way_back
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import FormatError, GeometryError
from scnas_deploy.inference.memory import PeakMemory
from tests.data.drawing import CT, ORIENTATIONS, assert_explains_itself, make_plan, noise, oblique_affine, stored_as
from tests.data.memory import peak_bytes

SPACING_MM = (0.8, 1.25, 2.0)
SHAPE = (66, 58, 54)
EGG, WEDGE = 1, 3
LEVELS = {EGG: 100, 0: 200, WEDGE: 300}
"""Background lies between the labels, so that a blurred border of one never looks like the other."""
ZSCORE_PLAN = make_plan(ZScore(), spacing_mm=(1.3, 0.8, 1.3))
CT_PLAN = make_plan(CT, spacing_mm=(1.3, 0.8, 1.3))


def phantom():
    """Image and labels without a symmetry, each structure 20 voxels across or more, zeros around."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    labels = np.zeros(SHAPE, np.uint8)
    labels[((x - 19) / 13) ** 2 + ((y - 17) / 11) ** 2 + ((z - 16) / 12) ** 2 < 1] = EGG
    block = (x > 34) & (x < 61) & (y > 29) & (y < 54) & (z > 23) & (z < 50)
    labels[block & ((x - 34) + (y - 29) + 2 * (z - 23) < 68)] = WEDGE
    image = np.vectorize(LEVELS.get, otypes=[np.int16])(labels)
    image[:2] = image[:, -3:] = image[..., :1] = 0
    return image, labels


IMAGE, LABELS = phantom()


def threshold(prepared, volume, plan):
    """Stand in for a network: each voxel gets the label whose normalised level is nearest."""
    normalisation = plan.channels[0].normalisation
    inside = volume.data[volume.data != 0].astype(np.float64)
    mean, std = (
        (inside.mean(), inside.std())
        if isinstance(normalisation, ZScore)
        else (normalisation.mean, normalisation.std)
    )  # fmt: skip
    values = np.array(list(LEVELS))
    levels = (np.array(list(LEVELS.values())) - mean) / std
    return values[np.abs(prepared[0][..., None] - levels).argmin(axis=-1)].astype(np.uint8)


def dice(truth, found, value):
    a, b = truth == value, found == value
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def comes_back(truth, found):
    return truth.shape == found.shape and all(dice(truth, found, value) >= 0.95 for value in (EGG, WEDGE))


def there_and_back(volume, plan):
    prepared, way_back = prepare(volume, plan)
    return way_back.restore(threshold(prepared, volume, plan))


def study(codes="RAS", shear=0.0):
    affine = oblique_affine(SPACING_MM, shear=shear)
    image, turned = stored_as(codes, IMAGE, affine)
    return Volume(data=image[None], affine_ras=turned), stored_as(codes, LABELS, affine)[0]


def test_the_phantom_is_what_the_proof_needs():
    for value in (EGG, WEDGE):
        assert (np.ptp(np.argwhere(value == LABELS), axis=0) + 1 >= 20).all()
    for axis in range(3):
        assert not comes_back(LABELS, np.flip(LABELS, axis))
    for plan in (ZSCORE_PLAN, CT_PLAN):
        assert all(abs(a / b - 1) > 0.2 for a, b in zip(SPACING_MM, plan.spacing_mm, strict=True))
    assert all(large / small > 1.5 for small, large in zip(sorted(SPACING_MM), sorted(SPACING_MM)[1:], strict=False))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "ASR", "IRP"])
@pytest.mark.parametrize("shear", [0.0, 0.15])
def test_a_sheared_grid_comes_back_on_itself(codes, shear):
    volume, truth = study(codes, shear)
    found = there_and_back(volume, CT_PLAN)
    assert comes_back(truth, found)
    for axis in range(3):
        assert not comes_back(truth, np.flip(found, axis))


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAL"])
def test_a_mask_for_training_lies_on_the_prepared_image(codes):
    volume, truth = study(codes)
    prepared, way_back = prepare(volume, ZSCORE_PLAN)
    followed = way_back.follow(truth)
    assert followed.shape == prepared.shape[1:]
    assert comes_back(followed, threshold(prepared, volume, ZSCORE_PLAN))
    assert comes_back(truth, way_back.restore(followed))


def test_every_orientation_shows_the_network_the_same_image():
    expected, _ = prepare(study()[0], ZSCORE_PLAN)
    for codes in ORIENTATIONS[::5]:
        prepared, _ = prepare(study(codes)[0], ZSCORE_PLAN)
        np.testing.assert_allclose(prepared, expected, atol=1e-4)


def test_the_image_is_brought_to_the_plans_spacing():
    prepared, way_back = prepare(study()[0], ZSCORE_PLAN)
    assert way_back.prepared.spacing_mm == ZSCORE_PLAN.spacing_mm
    kept = (SHAPE[0] - 2, SHAPE[1] - 3, SHAPE[2] - 1)
    expected = [round(n * old / new) for n, old, new in zip(kept, SPACING_MM, ZSCORE_PLAN.spacing_mm, strict=True)]
    assert list(prepared.shape[1:]) == expected
    assert prepared.dtype == np.float32


def lopsided():
    """A block that lies off the centre of a volume of zeros."""
    image = np.zeros((30, 26, 28), np.int16)
    image[3:19, 8:25, 11:24] = noise((16, 17, 13))
    return image


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAL", "PIR"])
def test_what_was_cropped_away_comes_back_as_background_in_place(codes):
    image, affine = stored_as(codes, lopsided(), oblique_affine((1.0, 1.0, 1.0)))
    volume = Volume(data=image[None], affine_ras=affine)
    prepared, way_back = prepare(volume, make_plan())
    assert prepared.shape == (1, 16, 17, 13)
    restored = way_back.restore(np.ones(prepared.shape[1:], np.uint8))
    np.testing.assert_array_equal(restored, image != 0)


def test_a_plan_without_crop_keeps_the_zeros():
    volume = Volume(data=lopsided()[None], affine_ras=np.eye(4))
    prepared, way_back = prepare(volume, make_plan(crop="none"))
    assert prepared.shape == (1, 30, 26, 28)
    assert way_back.restore(np.ones((30, 26, 28), np.uint8)).all()


def test_the_crop_keeps_what_is_non_zero_in_any_channel():
    data = np.zeros((2, 20, 20, 20), np.float32)
    data[0, 4:9, 5:9, 5:9] = noise((5, 4, 4))
    data[1, 5:9, 5:12, 5:9] = noise((4, 7, 4))
    prepared, _ = prepare(Volume(data=data, affine_ras=np.eye(4)), make_plan(ZScore(), ZScore()))
    assert prepared.shape == (2, 5, 7, 4)


def test_an_image_of_zeros_is_prepared_whole():
    prepared, way_back = prepare(Volume(data=np.zeros((1, 8, 9, 10), np.int16), affine_ras=np.eye(4)), make_plan())
    assert prepared.shape == (1, 8, 9, 10)
    assert not prepared.any()
    assert way_back.restore(np.ones((8, 9, 10), np.uint8)).all()


def test_labels_of_another_shape_are_not_restored():
    _, way_back = prepare(study()[0], ZSCORE_PLAN)
    with pytest.raises(GeometryError) as caught:
        way_back.restore(np.zeros((3, 4, 5), np.uint8))
    assert_explains_itself(caught.value, str(way_back.prepared.shape), "(3, 4, 5)")


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAL", "PIR"])
def test_probabilities_come_back_where_labels_do(codes, tmp_path):
    """Probabilities of one in the labels' places: the strongest class is the label wherever it is clear."""
    volume, truth = study(codes)
    back = way_back(volume, ZSCORE_PLAN)
    labels = back.follow(truth)
    certain = np.stack([labels == value for value in (0, EGG, WEDGE)]).astype(np.float16)
    np.save(tmp_path / "certain.npy", certain)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float16, (3, *volume.shape))
    back.restore_probabilities(np.load(tmp_path / "certain.npy", mmap_mode="r"), out)
    np.testing.assert_allclose(out.astype(np.float32).sum(axis=0), 1, atol=2e-3)
    clear = np.diff(np.sort(out.astype(np.float32), axis=0)[-2:], axis=0)[0] > 2e-3
    strongest = np.array([0, EGG, WEDGE])[out.argmax(axis=0)]
    np.testing.assert_array_equal(strongest[clear], back.restore(labels)[clear])
    assert clear.mean() > 0.99


def test_probabilities_outside_the_crop_are_backgrounds():
    back = way_back(Volume(data=lopsided()[None], affine_ras=np.eye(4)), make_plan())
    out = np.full((2, *back.study_shape), np.nan, np.float16)
    back.restore_probabilities(
        np.stack([np.zeros(back.prepared.shape), np.ones(back.prepared.shape)], dtype=np.float16), out
    )
    np.testing.assert_array_equal(out[1], lopsided() != 0)
    np.testing.assert_array_equal(out[0], lopsided() == 0)


def test_probabilities_of_another_shape_are_not_restored():
    back = way_back(study()[0], ZSCORE_PLAN)
    with pytest.raises(GeometryError) as caught:
        back.restore_probabilities(np.zeros((3, 4, 5, 6), np.float16), np.zeros((3, *SHAPE), np.float16))
    assert_explains_itself(caught.value, "probabilities", str(back.prepared.shape), "(4, 5, 6)")


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAL"])
@pytest.mark.parametrize("plan", [ZSCORE_PLAN, make_plan(spacing_mm=SPACING_MM), make_plan(crop="none")])
def test_labels_come_back_in_one_piece_of_memory(codes, plan):
    volume, _ = study(codes)
    restored = way_back(volume, plan).restore(np.ones(way_back(volume, plan).prepared.shape, np.uint8))
    assert restored.shape == volume.shape
    assert restored.flags.c_contiguous


def test_labels_on_the_studys_own_grid_are_not_copied():
    volume = Volume(data=noise((1, 8, 9, 10)), affine_ras=np.eye(4))
    labels = np.ones((8, 9, 10), np.uint8)
    assert np.shares_memory(way_back(volume, make_plan()).restore(labels), labels)


LARGE = (130, 170, 150)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 0.9, 1.2), (1.5, 1.5, 1.5)])
@pytest.mark.parametrize("normalisation", [ZScore(), CT])
def test_preparing_takes_no_more_memory_than_foretold(order, spacing_mm, normalisation):
    """A little less, where the axis along which the volume is walked through is not the one that costs most."""
    data = np.asarray(noise((1, *LARGE)), order=order)
    volume, plan = Volume(data=data, affine_ras=np.eye(4)), make_plan(normalisation, spacing_mm=spacing_mm)
    foretold = prepare_bytes(plan, way_back(volume, plan))
    assert 0.8 * foretold < peak_bytes(lambda: prepare(volume, plan)) < 1.01 * foretold


def test_restoring_takes_the_memory_that_was_foretold():
    volume = Volume(data=noise((1, *LARGE)), affine_ras=np.eye(4))
    back = way_back(volume, make_plan(spacing_mm=(1.3, 1.3, 1.3)))
    labels = noise(back.prepared.shape, np.uint8)
    assert peak_bytes(lambda: back.restore(labels)) == pytest.approx(back.restore_bytes(1), rel=0.1)
    probabilities = np.full((2, *back.prepared.shape), 0.5, np.float16)
    out = np.empty((2, *LARGE), np.float16)
    taken = peak_bytes(lambda: back.restore_probabilities(probabilities, out))
    assert taken == pytest.approx(back.restore_probabilities_bytes(), rel=0.1)


def test_of_mapped_probabilities_one_class_is_in_memory_at_a_time(tmp_path):
    volume = Volume(data=noise((1, *LARGE)), affine_ras=np.eye(4))
    back = way_back(volume, make_plan())
    probabilities, out = (mapped_array(tmp_path / f"{name}.npy", (12, *LARGE)) for name in ("prepared", "restored"))
    memory = PeakMemory()
    back.restore_probabilities(probabilities, out)
    one_class = 2 * 2 * volume.data[0].size
    assert memory.above_start() < back.restore_probabilities_bytes() + 3 * one_class
    assert (out[0] == 0).all()


def test_preparing_leaves_the_study_alone():
    volume, _ = study("LPI")
    before = volume.data.copy()
    prepare(volume, CT_PLAN)
    np.testing.assert_array_equal(volume.data, before)
    assert to_ras(volume)[1].flipped == (True, True, True)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_study_with_other_channels_is_refused(channels):
    volume = Volume(data=noise((channels, 8, 8, 8)), affine_ras=np.eye(4))
    with pytest.raises(FormatError) as caught:
        prepare(volume, make_plan(ZScore(), ZScore()))
    assert_explains_itself(caught.value, "2 channel(s): channel 0, channel 1", f"found {channels}")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_refused(bad):
    data = noise((1, 8, 8, 8), np.float32)
    data[0, 1, 2, 3] = data[0, 3, 2, 1] = bad
    with pytest.raises(FormatError) as caught:
        check_channels(Volume(data=data, affine_ras=np.eye(4)), make_plan())
    assert_explains_itself(caught.value, "2 NaN or infinite")
