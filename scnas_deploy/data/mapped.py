"""Arrays in files, larger than memory."""

import mmap
import os
from pathlib import Path

import numpy as np

from scnas_deploy.files import translating


def mapped_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Make a .npy file of float16 zeros and map it; what is written to the array is in the file.

    The disk's space is taken at once: running out of it later would end the process.

    Raises:
        OutputError: If the disk has no room.
    """
    with translating(path):
        array: np.ndarray = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, path.stat().st_size)
        finally:
            os.close(descriptor)
    return array


def release(array: np.ndarray) -> None:
    """Let go of the memory of what has been written; the file keeps it."""
    mapping = getattr(array, "_mmap", None)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)
