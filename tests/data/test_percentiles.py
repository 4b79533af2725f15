import numpy as np
import pytest

from scnas_deploy.data.percentiles import percentiles
from tests.data.memory import peak_bytes

PERCENTS = (0.0, 0.5, 37.3, 50.0, 99.5, 100.0)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8, np.int8, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (33, 20, 41)])
def test_they_are_numpys(dtype, shape):
    rng = np.random.default_rng(len(shape))
    for scale in (1, 30, 100_000):
        voxels = np.clip(rng.normal(scale=scale, size=shape), *_range(dtype)).astype(dtype)
        np.testing.assert_allclose(percentiles(voxels, PERCENTS), np.percentile(voxels, PERCENTS), rtol=1e-9, atol=1e-9)


def _range(dtype):
    return (-1e9, 1e9) if dtype == np.float32 else (np.iinfo(dtype).min, np.iinfo(dtype).max)


HARD = {
    "normal": lambda rng: rng.normal(size=(68, 64, 62)),
    "one voxel far away": lambda rng: np.append(rng.normal(size=68 * 64 * 62 - 1), 1e30).reshape(68, 64, 62),
    "mostly zero": lambda rng: np.maximum(rng.normal(size=(68, 64, 62)) - 2, 0),
    "two values": lambda rng: rng.integers(-1, 1, (68, 64, 62)) * 0.3,
    "wide": lambda rng: rng.choice([-1, 1], (68, 64, 62)) * np.exp(rng.normal(scale=9, size=(68, 64, 62))),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.int32, np.uint32, np.int64])
@pytest.mark.parametrize("hard", HARD)
def test_of_a_large_volume_they_are_numpys_to_the_bit(hard, dtype):
    voxels = HARD[hard](np.random.default_rng(0))
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        voxels = np.clip(voxels * 1e6, limits.min, min(limits.max, 2.0**62))
    with np.errstate(over="ignore"):
        voxels = np.asfortranarray(np.nan_to_num(voxels.astype(kind)))
    expected = np.percentile(voxels.astype(kind.newbyteorder("=")), PERCENTS)
    counted = kind.kind in "iu" and int(voxels.max()) - int(voxels.min()) < 2**17
    assert counted or percentiles(voxels, PERCENTS) == [float(value) for value in expected]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_point_voxels_of_a_large_volume_are_not_copied(dtype):
    voxels = np.random.default_rng(0).normal(size=(200, 160, 128)).astype(dtype)
    assert peak_bytes(lambda: percentiles(voxels, (0.5, 99.5))) < 8e6 < voxels.nbytes / 2


def test_integers_of_a_scanner_are_not_copied():
    voxels = np.random.default_rng(0).integers(-1024, 3000, (100, 200, 200), dtype=np.int16)
    assert peak_bytes(lambda: percentiles(voxels, (0.5, 99.5))) < voxels.nbytes / 1.5
