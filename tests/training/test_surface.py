"""Surface distances by hand and against MONAI."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from monai.metrics.utils import get_mask_edges

from scnas_deploy.training.surface import mask_edges, surface_distances

pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's call of itself

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 1.3, 3.1), (2.5, 0.45, 0.45)]


def blobs(seed: int, shape: tuple[int, int, int] = (24, 20, 17), *, share: float = 0.3) -> np.ndarray:
    """Smooth noise above a threshold: several pieces with holes, some cut off by the border."""
    noise = np.random.default_rng(seed).normal(size=shape)
    for axis in range(3):
        noise = sum(np.roll(noise, step, axis) for step in (-2, -1, 0, 1, 2))
    return noise > np.quantile(noise, 1 - share)


def cube(start: int, *, size: int = 4) -> np.ndarray:
    mask = np.zeros((20, 10, 10), dtype=bool)
    mask[start : start + size, 3:7, 3:7] = True
    return mask


def of_monai(truth, predicted, spacing, tolerance):
    truth, predicted = (torch.from_numpy(mask)[None, None].float() for mask in (truth, predicted))
    shared = {"include_background": True, "spacing": spacing}
    hd95 = compute_hausdorff_distance(predicted, truth, percentile=95, **shared)
    return hd95.item(), compute_surface_dice(predicted, truth, [tolerance], **shared).item()


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_both_equal_monais(seed, spacing):
    truth, predicted = blobs(seed), blobs(seed + 100, share=0.2)
    distances = surface_distances(truth, predicted, spacing)
    for tolerance in (0.5, 1.0, 2.0):
        hd95, nsd = of_monai(truth, predicted, spacing, tolerance)
        assert distances.hd95_mm() == pytest.approx(hd95, abs=1e-4)
        assert distances.nsd(tolerance_mm=tolerance) == pytest.approx(nsd, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.floats(0.2, 6.0)] * 3),
    st.sampled_from([0.05, 0.3, 0.9]),
)
def test_small_thin_and_full_masks_equal_monais_too(seed, shape, spacing, share):
    random = np.random.default_rng(seed)
    truth, predicted = random.random((2, *shape)) < share
    truth.flat[0] = predicted.flat[-1] = True
    distances = surface_distances(truth, predicted, spacing)
    hd95, nsd = of_monai(truth, predicted, spacing, 1.23456789)
    assert distances.hd95_mm() == pytest.approx(hd95, abs=1e-4)
    assert distances.nsd(tolerance_mm=1.23456789) == pytest.approx(nsd, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_edges_are_monais(seed):
    mask = blobs(seed)
    expected, _ = get_mask_edges(mask, mask, crop=False)
    np.testing.assert_array_equal(mask_edges(mask), expected)


def test_a_mask_shifted_by_two_voxels_of_three_millimetres():
    distances = surface_distances(cube(4), cube(6), (3.0, 1.0, 1.0))
    assert distances.hd95_mm() == 6.0
    assert surface_distances(cube(4), cube(6), (1.0, 3.0, 3.0)).hd95_mm() == 2.0
    # Each cube has 56 edge voxels. The two planes they share have a ring of 12 each that is edge in both cubes.
    assert distances.nsd(tolerance_mm=0.0) == pytest.approx(24 / 56)
    assert distances.nsd(tolerance_mm=6.0) == 1.0


def test_equal_masks_have_no_distance():
    distances = surface_distances(blobs(1), blobs(1), (0.5, 0.5, 4.0))
    assert distances.hd95_mm() == 0.0
    assert distances.nsd(tolerance_mm=0.0) == 1.0


def test_a_tolerance_that_a_header_rounds_is_still_met():
    distances = surface_distances(cube(4), cube(5), (1.0000001, 1.0, 1.0))
    assert distances.nsd() == 1.0
    assert surface_distances(cube(4), cube(5), (1.001, 1.0, 1.0)).nsd() < 1.0


def test_a_missing_structure_has_no_hd95_and_no_surface_in_common():
    nothing = np.zeros_like(cube(4))
    for truth, predicted in ((cube(4), nothing), (nothing, cube(4))):
        distances = surface_distances(truth, predicted, (1.0, 1.0, 1.0))
        assert distances.hd95_mm() is None
        assert distances.nsd() == 0.0


def test_a_structure_that_is_in_neither_mask_has_no_scores():
    nothing = np.zeros_like(cube(4))
    distances = surface_distances(nothing, nothing, (1.0, 1.0, 1.0))
    assert distances.hd95_mm() is None
    assert distances.nsd() is None


def test_neither_direction_nor_place_matters():
    first, second = blobs(1), blobs(2, share=0.1)
    forth, back = surface_distances(first, second, (1.0, 2.0, 3.0)), surface_distances(second, first, (1.0, 2.0, 3.0))
    assert forth.hd95_mm() == back.hd95_mm()
    assert forth.nsd() == back.nsd()
    moved = surface_distances(*(np.pad(mask, ((5, 1), (0, 9), (2, 2))) for mask in (first, second)), (1.0, 2.0, 3.0))
    assert moved.hd95_mm() == forth.hd95_mm()
    assert moved.nsd() == forth.nsd()
