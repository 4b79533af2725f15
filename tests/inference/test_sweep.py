"""Every voxel of every column gets all of its patches, whatever the sweep."""

from itertools import pairwise, product
from math import prod

import numpy as np
import pytest

from scnas_deploy.inference.boxes import meet, size_of, touch, whole
from scnas_deploy.inference.sweep import sweeps
from scnas_deploy.inference.tiling import TilingConfig

CASES = [((8, 8, 8), (8, 8, 8)), ((20, 9, 31), (8, 8, 8)), ((33, 24, 12), (8, 12, 6)), ((40, 40, 41), (16, 24, 16))]


@pytest.mark.parametrize(("shape", "patch"), CASES)
def test_columns_of_any_sweep_are_a_partition_of_the_volume(shape, patch):
    for sweep in sweeps(shape, TilingConfig(patch_size=patch)):
        covered = np.zeros(shape, dtype=int)
        for column in sweep.columns:
            assert size_of(column)[sweep.axis] == shape[sweep.axis]
            covered[column] += 1
        assert (covered == 1).all()


@pytest.mark.parametrize(("shape", "patch"), CASES)
def test_each_column_is_given_every_patch_that_touches_it_once_and_row_by_row(shape, patch):
    all_sweeps = sweeps(shape, TilingConfig(patch_size=patch))
    everywhere = {str(patch.box): patch.box for patch in all_sweeps[0].patches()}
    for sweep in all_sweeps:
        given = list(sweep.patches())
        assert len(given) == sweep.num_patches
        assert [(p.column, p.row) for p in given] == sorted((p.column, p.row) for p in given)
        for number, column in enumerate(sweep.columns):
            boxes = [str(patch.box) for patch in given if patch.column == number]
            assert sorted(boxes) == sorted(key for key, box in everywhere.items() if touch(box, column))


@pytest.mark.parametrize(("shape", "patch"), CASES)
def test_weights_of_a_columns_patches_sum_to_one_at_each_of_its_voxels(shape, patch):
    for sweep in sweeps(shape, TilingConfig(patch_size=patch)):
        total = np.zeros(shape)
        for each in sweep.patches():
            column = sweep.columns[each.column]
            wx, wy, wz = each.weights
            weight = np.zeros(shape)
            weight[each.box] = wx[:, None, None] * (wy[:, None] * wz)
            part = meet(each.box, column)
            total[part] += weight[part]
        np.testing.assert_allclose(total, 1, atol=1e-6)


def test_the_first_sweep_has_one_column_and_fewer_logits_under_way_cost_more_patches():
    first, *others = sweeps((64, 40, 48), TilingConfig(patch_size=(16, 16, 16)))
    assert first.columns == (whole((64, 40, 48)),)
    assert first.axis == 0
    assert first.num_patches == 7 * 4 * 5
    assert first.slab_bytes(3) == 4 * 3 * 16 * 40 * 48
    assert [sweep.num_patches for sweep in others] == sorted(sweep.num_patches for sweep in others)
    least = min(others, key=lambda sweep: sweep.slab_bytes(3))
    assert least.slab_bytes(3) < first.slab_bytes(3) / 5
    assert least.num_patches > first.num_patches


def test_rows_are_the_planes_that_no_later_patch_touches():
    sweep = sweeps((8, 30, 9), TilingConfig(patch_size=(8, 8, 8)))[0]
    rows = sweep.rows()
    assert [row.start for row in rows] == list(sweep.axes[1].starts)
    assert rows[-1].stop == 30
    assert prod(size_of(whole((8, 30, 9)))) == sum((row.stop - row.start) * 72 for row in rows)
    for (first, second), patch in product(pairwise(rows), sweep.patches()):
        assert first.stop == second.start
        assert patch.row <= rows.index(first) or patch.box[1].start >= first.stop
