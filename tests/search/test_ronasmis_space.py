"""The space holds what the paper lets the controller choose."""

import pytest

from scnas_deploy.errors import ConfigError
from scnas_deploy.search.ronasmis_space import RonasmisSpace


@pytest.mark.parametrize(
    ("patch_size", "in_plane", "depth"),
    [
        ((40, 56, 40), (48, 32, 16), (32, 16)),
        ((128, 128, 128), (128, 112, 96, 80, 64), (128, 112, 96, 80, 64)),
        ((16, 24, 16), (16,), (16,)),
    ],
)
def test_patch_sizes_follow_the_formula(patch_size, in_plane, depth):
    space = RonasmisSpace(patch_size, 4)
    assert [decision.options for decision in space.decisions[:2]] == [in_plane, depth]
    assert space.largest_patch == (in_plane[0], in_plane[0], depth[0])


def test_patches_too_small_for_the_formula_are_refused():
    with pytest.raises(ConfigError, match="at least 16 voxels"):
        RonasmisSpace((40, 40, 8), 4)


def test_each_decision_is_what_it_is_called():
    space = RonasmisSpace((40, 56, 40), 32)
    names = [decision.name for decision in space.decisions]
    assert len(names) == len(set(names)) == 18
    assert space.num_options == (3, 2, 2, 2, 3, 3, 3, 3, *[2] * 6, *[2] * 4)
    chosen = [0] * 18
    chosen[names.index("stride before stage 4")] = 1
    chosen[names.index("dilation of stage 2")] = 2
    chosen[names.index("activation")] = 1
    chosen[names.index("skip 1 to 3")] = 1
    chosen[names.index("path 4 dropped")] = 1
    found = space.architecture(chosen)
    assert (found.patch_size, found.strides, found.dilations) == ((48, 48, 32), (2, 1, 2), (3, 1, 1))
    assert (found.activation, found.resolutions) == ("leaky_relu", (1, 2, 2, 4))
    assert found.skips == (False, False, False, True, False, False)
    assert found.dropped == (False, False, False, True)
    assert found.stem_channels == 32


def test_the_supernet_holds_every_skip_and_every_path():
    everything = RonasmisSpace((40, 56, 40), 32).everything()
    assert all(everything.skips)
    assert not any(everything.dropped)
