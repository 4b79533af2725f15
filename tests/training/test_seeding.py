"""Seeds depend on every part of their key."""

import random

import numpy as np
import torch

from scnas_deploy.training.seeding import derive_seed, global_seed, torch_generator


def test_every_part_of_the_key_counts_and_no_two_parts_run_together():
    keys = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 11), (0, "a1", 1), ("0/a", 1, 1)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)


def test_a_generator_repeats():
    first, second = (torch.rand(5, generator=torch_generator(3, "x")) for _ in range(2))
    assert torch.equal(first, second)


def test_the_global_generators_are_seeded_within_and_restored_after():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    with global_seed(5, "a"):
        inside = draw()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    with global_seed(5, "a"):
        assert draw() == inside
    after = draw()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    assert draw() == after
