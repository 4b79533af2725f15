"""Colours of structures, as DICOM wants them: CIELab of the D50 white point (PS3.3 C.10.7.1.1)."""

import numpy as np

_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""Linear sRGB -> XYZ, adapted to D50 by Bradford's method (Lindbloom)."""
_WHITE = _TO_XYZ.sum(axis=1)


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue of '#rrggbb', 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def cielab(color: str) -> tuple[float, float, float]:
    """L*, 0 to 100, and a*, b*, -128 to 127, of '#rrggbb'."""
    stored = np.array(rgb(color)) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    ratio = _TO_XYZ @ linear / _WHITE
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    return float(np.clip(lightness, 0, 100)), float(np.clip(a, -128, 127)), float(np.clip(b, -128, 127))
