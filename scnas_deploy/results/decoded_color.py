"""The colour that a DICOM object recommends for a structure, as a page writes it (PS3.3 C.10.7.1.1)."""

from typing import Final

import numpy as np

_D50: Final = np.array([0.9642, 1.0, 0.8251])
"""White point of the profile connection space."""
_TO_LINEAR: Final = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)
"""XYZ adapted to D50 -> linear sRGB, by Bradford's method (Lindbloom)."""


def color_of(stored: tuple[int, int, int]) -> str:
    """Return '#rrggbb' of RecommendedDisplayCIELabValue: L* 0 to 100 and a*, b* -128 to 127, each in 16 bits."""
    lightness, a, b = stored[0] * 100 / 65535, stored[1] * 255 / 65535 - 128, stored[2] * 255 / 65535 - 128
    height = (lightness + 16) / 116
    roots = np.array([height + a / 500, height, height - b / 200])
    ratio = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    linear = np.clip(_TO_LINEAR @ (ratio * _D50), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(float(value) * 255):02x}" for value in encoded)
