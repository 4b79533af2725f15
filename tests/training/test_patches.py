"""Patches are a function of seed and number, keep image and mask together, and see the foreground."""

import numpy as np
import pytest
import torch

from scnas_deploy.training.augmentation import NO_AUGMENTATION, Augmentation, AugmentationConfig
from scnas_deploy.training.patches import PatchStream
from scnas_deploy.training.prepared import PreparedCase

PATCH = (16, 16, 16)


@pytest.fixture
def cases():
    """Cases whose image says where each voxel lies: channel i holds coordinate i; one is smaller than a patch."""
    return [make_case(number, shape) for number, shape in enumerate([(30, 40, 20), (10, 24, 12)])]


def make_case(number, shape):
    image = np.stack(np.meshgrid(*(np.arange(1, n + 1) for n in shape), indexing="ij")).astype(np.float32)
    classes = np.zeros(shape, dtype=np.uint8)
    classes[2:5, 3:6, 4:7] = 1
    classes[-4:-2, -4:-2, -4:-2] = 2
    places = tuple(np.argwhere(classes == index).astype(np.int32) for index in (1, 2))
    return PreparedCase(str(number), image, classes, places)


def stream(cases, config=NO_AUGMENTATION, foreground=1.0, seed=0):
    return PatchStream(cases, Augmentation(config, PATCH, (0, 1, 2)), foreground=foreground, key=(seed, "test"))


def test_a_patch_is_a_function_of_seed_and_number(cases):
    first, again, other = (stream(cases, AugmentationConfig(), seed=seed) for seed in (0, 0, 1))
    torch.rand(3)
    np.random.rand(3)  # noqa: NPY002
    for number in (5, 0, 17):
        assert torch.equal(first[number][0], again[number][0])
        assert torch.equal(first[number][1], again[number][1])
    assert not torch.equal(first[0][0], other[0][0])


def test_drawing_a_patch_leaves_the_global_generators_alone(cases):
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = torch.rand(2), np.random.rand(2)  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    stream(cases, AugmentationConfig())[3]
    assert torch.equal(torch.rand(2), expected[0])
    assert np.array_equal(np.random.rand(2), expected[1])  # noqa: NPY002


def test_foreground_patches_hold_foreground(cases):
    samples = [stream(cases)[number] for number in range(40)]
    assert all(classes.any() for _, classes in samples)
    assert {int(value) for _, classes in samples for value in classes.unique()} == {0, 1, 2}


def test_image_and_mask_stay_together_under_augmentation(cases):
    """Where the mask says class 1, the image still shows that structure's coordinates."""
    config = AugmentationConfig(p_elastic=0, p_gamma=0, p_rotation=1, p_scaling=1)
    for number in range(30):
        image, classes = stream(cases[:1], config)[number]
        if (classes == 1).sum() < 8:
            continue
        centre = image[:, classes == 1].mean(dim=1)
        torch.testing.assert_close(centre, torch.tensor([4.0, 5.0, 6.0]), atol=0.8, rtol=0)


def test_mirroring_keeps_to_the_plans_axes(cases):
    config = AugmentationConfig(p_elastic=0, p_gamma=0, p_rotation=0, p_scaling=0)
    augmentation = Augmentation(config, PATCH, (1,))
    patches = PatchStream(cases[:1], augmentation, foreground=1.0, key=(0, "mirror"))
    images = [patches[number][0] for number in range(40)]
    rising = [[bool((image[axis].diff(dim=axis) > 0).all()) for axis in range(3)] for image in images]
    assert all(x and z for x, _, z in rising)
    assert {y for _, y, _ in rising} == {True, False}


def test_a_case_smaller_than_a_patch_is_padded_with_background(cases):
    image, classes = stream(cases[1:])[0]
    assert image.shape == (3, *PATCH)
    assert classes.shape == PATCH
    assert not image[:, :3].any()
    assert not classes[:3].any()
    assert (image[:, 3:13, :, 2:14] > 0).all()
    assert not image[..., 14:].any()


def test_batches_can_start_anywhere_and_workers_change_nothing(cases):
    patches = stream(cases, AugmentationConfig())
    whole = list(patches.batches(0, 4, 2))
    tail = list(patches.batches(2, 2, 2))
    in_workers = list(patches.batches(0, 4, 2, num_workers=2))
    for expected, found in [(whole[2], tail[0]), (whole[3], tail[1]), *zip(whole, in_workers, strict=True)]:
        assert torch.equal(expected[0], found[0])
        assert torch.equal(expected[1], found[1])
