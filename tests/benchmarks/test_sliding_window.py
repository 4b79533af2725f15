"""Both sides compute the same network on the same volume."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sliding_window import ALL_OPERATIONS, SHIPPED, volume
from scnas_deploy.inference.package import open_package
from scnas_deploy.networks.genotype import CellType, Operation, load_genotype


def test_the_volume_repeats_the_canary_without_a_seam():
    image = volume((90, 60, 50))
    patch = open_package(SHIPPED).canary.patches_BCXYZ[0, 0]
    x, y, z = patch.shape
    np.testing.assert_array_equal(image[0, :x, :y, :z], patch[:, :, :50])
    np.testing.assert_array_equal(image[0, x : 2 * x, :y, :z], patch[::-1, :, :50])
    assert np.abs(np.diff(image[0], axis=0)).max() <= np.abs(np.diff(patch, axis=0)).max()


def test_the_committed_genotype_uses_all_eight_operations_in_each_cell():
    cells = load_genotype(ALL_OPERATIONS).architecture.cells
    assert all(set(cells.of(cell)) == set(Operation) for cell in CellType)


@pytest.mark.soak
def test_both_sides_give_the_same_labels():
    command = [sys.executable, "-m", "benchmarks.sliding_window", "--repeats", "1", "--window", "32"]
    ended = subprocess.run(
        [*command, "--shape", "40", "32", "36"], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["agreement"] >= 0.999
    assert set(result["networks"]) == {"shipped", "all_operations"}
