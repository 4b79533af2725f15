"""Random numbers that depend on what they are for, not on what came before.

Every draw is keyed by the run's seed, a purpose and a position (epoch, step, sample), so that a resumed run
draws the same numbers as an uninterrupted one without any generator state being saved, and any process can
draw any sample.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*key: str | int) -> int:
    """Return a 63-bit seed that depends on every part of the key."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def torch_generator(*key: str | int) -> torch.Generator:
    """Return a CPU generator for the key."""
    return torch.Generator().manual_seed(derive_seed(*key))


@contextmanager
def global_seed(*key: str | int) -> Iterator[None]:
    """Seed the global generators of PyTorch, NumPy and Python within the block, and put them back after it.

    For libraries that draw from nothing else.
    """
    seed = derive_seed(*key)
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
