"""Damaged NIfTI files are read or refused, never anything else."""

import gzip
import random
import resource

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.errors import DataError

HEADER_BYTES = 352


@pytest.fixture
def whole_file() -> bytes:
    rng = np.random.default_rng(0)
    image = nib.Nifti1Image(rng.integers(0, 1000, (12, 10, 8), dtype=np.int16), np.diag([1.0, 2.0, 3.0, 1.0]))
    return image.to_bytes()


@pytest.fixture
def bounded_memory():
    """Refuse 4 GiB beyond what the process has: a header must not make the reader ask for more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        pages = int(statm.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 4 * 1024**3, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def damage(data: bytes, rng: random.Random) -> bytes:
    kind = rng.choice(["flip", "flip", "flip header", "flip header", "cut", "noise"])
    if kind == "cut":
        return data[: rng.randrange(len(data))]
    if kind == "noise":
        return rng.randbytes(rng.randrange(1, 2000))
    damaged = bytearray(data)
    end = HEADER_BYTES if kind == "flip header" else len(data)
    for _ in range(rng.randrange(1, 9)):
        damaged[rng.randrange(end)] = rng.randrange(256)
    return bytes(damaged)


def read_damaged(path, count, seed, data):
    rng = random.Random(seed)
    refused = 0
    for _ in range(count):
        damaged = damage(data, rng)
        packed = path.suffix == ".gz"
        path.write_bytes(damage(gzip.compress(data), rng) if packed and rng.random() < 0.5 else
                         gzip.compress(damaged) if packed else damaged)  # fmt: skip
        try:
            volume = load_nifti(path)
        except DataError:
            refused += 1
        else:
            assert volume.data.ndim == 4
            assert np.isfinite(volume.affine_ras).all()
    return refused


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_files_are_read_or_refused(tmp_path, whole_file, bounded_memory, suffix):
    refused = read_damaged(tmp_path / f"damaged{suffix}", 150, 1, whole_file)
    assert 20 < refused < 150


@pytest.mark.soak
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_thousands_of_damaged_files_are_read_or_refused(tmp_path, whole_file, bounded_memory, suffix):
    assert read_damaged(tmp_path / f"damaged{suffix}", 5000, 2, whole_file) > 500


def test_a_header_that_announces_more_than_the_file_holds_is_refused_at_once(tmp_path, whole_file, bounded_memory):
    huge = bytearray(whole_file)
    huge[42:48] = np.array([30000, 30000, 30000], dtype="<i2").tobytes()
    for suffix, data in ((".nii", bytes(huge)), (".nii.gz", gzip.compress(bytes(huge)))):
        path = tmp_path / f"huge{suffix}"
        path.write_bytes(data)
        with pytest.raises(DataError, match="unreadable"):
            load_nifti(path)
