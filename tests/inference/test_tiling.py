"""A constant stays constant, and patches cover everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scnas_deploy.errors import ConfigError
from scnas_deploy.inference.tiling import TilingConfig, patch_starts, tile_axis


@given(size=st.integers(1, 300), patch=st.integers(1, 64), overlap=st.floats(0, 0.9))
def test_patches_cover_the_axis_and_overlap_as_asked(size, patch, overlap):
    size = max(size, patch)
    starts = patch_starts(size, patch, overlap)
    assert starts[0] == 0
    assert starts[-1] == size - patch
    steps = np.diff(starts)
    assert (steps >= 0).all()
    assert (steps <= max(1, patch * (1 - overlap))).all()


@given(size=st.integers(8, 300), patch=st.integers(4, 96), blending=st.sampled_from(["gaussian", "constant"]))
def test_weights_of_all_patches_sum_to_one_at_every_voxel(size, patch, blending):
    patch = min(size, patch)
    config = TilingConfig(patch_size=(patch,) * 3, blending=blending)
    tiling = tile_axis(size, patch, config)
    total = np.zeros(size)
    for start, weights in zip(tiling.starts, tiling.weights_PN, strict=True):
        total[start : start + patch] += weights
    np.testing.assert_allclose(total, 1, atol=3e-7)


def test_the_middle_of_a_patch_counts_more_than_its_border():
    tiling = tile_axis(48, 32, TilingConfig(patch_size=(32, 32, 32)))
    first, second = tiling.weights_PN
    assert first[16] > 0.9
    assert second[0] < 0.1


def test_an_impossible_overlap_is_refused():
    with pytest.raises(ConfigError, match="overlap"):
        TilingConfig(patch_size=(8, 8, 8), overlap=1.0)
