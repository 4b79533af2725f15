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


def test_integers_of_a_scanner_are_not_copied():
    voxels = np.random.default_rng(0).integers(-1024, 3000, (100, 200, 200), dtype=np.int16)
    assert peak_bytes(lambda: percentiles(voxels, (0.5, 99.5))) < voxels.nbytes / 1.5
