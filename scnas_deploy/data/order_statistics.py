"""The values at given ranks of a large volume, exactly and in bounded memory.

A radix selection: every voxel has a key, an unsigned integer that sorts as the voxels do. Pass by pass, sixteen bits of
the keys are counted, the highest first, among the voxels whose higher bits are those found so far. It needs two passes
for 32-bit voxels, however they are distributed.
"""

from collections.abc import Sequence

import numpy as np

from scnas_deploy.data.planes import pieces
from scnas_deploy.types import VoxelsXYZ

_DIGIT_BITS = 16
_DIGITS = 2**_DIGIT_BITS


def order_statistics(voxels_XYZ: VoxelsXYZ, ranks: Sequence[int]) -> np.ndarray:
    """Return the values at ranks, counted from 0, of integers or finite floating-point voxels of 16 to 64 bits."""
    keys, left = [0] * len(ranks), list(ranks)
    for shift in range(8 * voxels_XYZ.itemsize - _DIGIT_BITS, -1, -_DIGIT_BITS):
        counts = _counts(voxels_XYZ, set(keys), shift)
        for place, key in enumerate(keys):
            up_to = np.concatenate([[0], counts[key].cumsum()])
            digit = int(np.searchsorted(up_to, left[place], side="right")) - 1
            keys[place] = key << _DIGIT_BITS | digit
            left[place] -= int(up_to[digit])
    native = voxels_XYZ.dtype.newbyteorder("=")
    return _sorted_as(np.array(keys, dtype=f"u{native.itemsize}"), native, back=True).view(native)


def _counts(voxels_XYZ: VoxelsXYZ, higher_keys: set[int], shift: int) -> dict[int, np.ndarray]:
    """How often each digit above ``shift`` bits occurs, for each key of the higher digits that is asked for."""
    counts = {key: np.zeros(_DIGITS, dtype=np.int64) for key in higher_keys}
    highest = shift + _DIGIT_BITS == 8 * voxels_XYZ.itemsize
    for (piece,) in pieces(voxels_XYZ):
        keys = _keys(piece)
        for higher in higher_keys:
            chosen = keys if highest else keys[keys >> (shift + _DIGIT_BITS) == higher]
            digits = chosen >> shift & (_DIGITS - 1)
            counts[higher] += np.bincount(digits.astype(np.intp), minlength=_DIGITS)
    return counts


def _keys(piece: np.ndarray) -> np.ndarray:
    native = piece.dtype.newbyteorder("=")
    bits = np.ascontiguousarray(piece, dtype=native).ravel().view(f"u{native.itemsize}")
    return _sorted_as(bits, native)


def _sorted_as(bits: np.ndarray, kept: np.dtype, *, back: bool = False) -> np.ndarray:
    """Turn voxels' bits into keys that sort as they do, or keys back into bits.

    An integer's sign bit is turned over; so is a positive floating-point number's, while a negative one is turned over
    as a whole, for it sorts by its magnitude backwards.
    """
    if kept.kind == "u":
        return bits
    sign = bits.dtype.type(1 << (8 * bits.itemsize - 1))
    turned: np.ndarray = bits ^ sign
    if kept.kind == "i":
        return turned
    negative = (bits & sign == 0) if back else (bits & sign != 0)
    return np.where(negative, ~bits, turned)
