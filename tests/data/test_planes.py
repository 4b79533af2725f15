import numpy as np
import pytest

from scnas_deploy.data.planes import PIECE_VOXELS, outer_axis, outer_first, parts, pieces


@pytest.mark.parametrize(
    ("orders", "outer"),
    [(("C",), 0), (("F",), 2), (("C", "C"), 0), (("F", "F"), 2), (("F", "C"), 1), (("C", "F"), 1)],
)
def test_planes_are_cut_where_no_volume_has_its_neighbours(orders, outer):
    assert outer_axis(*(np.zeros((7, 8, 9), np.int16, order=order) for order in orders)) == outer


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (2, 700, 900), (2, 3, PIECE_VOXELS + 5), (1, 600, 1)])
def test_pieces_cover_volumes_once_and_in_step(order, shape):
    numbered = np.asarray(np.arange(np.prod(shape)).reshape(shape), order=order)
    copied = np.full(shape, -1)
    for piece, out in pieces(numbered, copied[::-1]):
        assert piece.size <= max(PIECE_VOXELS, min(piece.shape) * max(shape))
        assert (out == -1).all()
        out[:] = piece
    np.testing.assert_array_equal(copied[::-1], numbered)


def test_the_outer_axis_comes_first():
    assert [outer_first(axis) for axis in range(3)] == [(0, 1, 2), (1, 0, 2), (2, 0, 1)]


def test_parts_cover_a_range():
    assert list(parts(7, 3)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(parts(2, 5)) == [slice(0, 2)]
