"""Three planes through a study as radiologists look at it: the patient's right on the left, front above, head above."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scnas_deploy.data.orientation import to_ras
from scnas_deploy.data.percentiles import percentiles
from scnas_deploy.data.volume import Volume
from scnas_deploy.types import LabelsXYZ

INK: Final = (230, 230, 230)
"""Of words on a picture."""

Voxel = tuple[int, int, int]
"""Of the study turned to RAS."""


@dataclass(frozen=True, eq=False, slots=True)
class Cut:
    """A plane through the study, as it is looked at: rows from above, columns from the left."""

    name: str
    image: np.ndarray
    """The first channel, 0 to 255."""
    layers: tuple[np.ndarray, ...]
    """Labels, one array a layer."""
    spacing_mm: tuple[float, float]
    """Between rows, between columns."""
    sides: tuple[str, str]
    """Letters at the left and right edge."""

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        rows, columns = self.image.shape
        return rows * self.spacing_mm[0], columns * self.spacing_mm[1]

    def size(self, height: int) -> tuple[int, int]:
        """Return width and height in square pixels, at a height."""
        height_mm, width_mm = self.size_mm
        return max(1, round(width_mm * height / height_mm)), height

    def picture(self, height: int) -> np.ndarray:
        """Return the image alone: (height, width, 3), uint8."""
        from PIL import Image

        gray = np.asarray(Image.fromarray(self.image).resize(self.size(height), Image.Resampling.BILINEAR))
        return np.repeat(gray[..., None], 3, axis=2)

    def mask(self, layer: int, value: int, height: int) -> np.ndarray:
        """Return where a layer has a label, at the picture's size: (height, width), bool."""
        from PIL import Image

        mask = Image.fromarray((self.layers[layer] == value).astype(np.uint8))
        return np.asarray(mask.resize(self.size(height), Image.Resampling.NEAREST)).astype(bool)


def three_cuts(
    study: Volume, layers: Sequence[LabelsXYZ], where: Callable[[Sequence[np.ndarray]], Voxel]
) -> tuple[Cut, Cut, Cut]:
    """Cut a study and the labels on its grid: axial, coronal, sagittal.

    Args:
        study: Its first channel is shown, from its 0.5th to its 99.5th percentile.
        layers: Labels on the study's grid.
        where: Chooses the voxel that the planes go through, given the layers turned to RAS.
    """
    ras, mapping = to_ras(study)
    turned = [mapping.forward(layer) for layer in layers]
    window = percentiles(ras.data[0], (0.5, 99.5))
    x, y, z = where(turned)
    right, front, up = ras.spacing_mm

    def cut(name: str, plane: tuple[Any, ...], spacing_mm: tuple[float, float], sides: tuple[str, str]) -> Cut:
        image = _shown(ras.data[0][plane], window)
        return Cut(name, _faced(image), tuple(_faced(layer[plane]) for layer in turned), spacing_mm, sides)

    every = slice(None)
    return (
        cut("axial", (every, every, z), (front, right), ("R", "L")),
        cut("coronal", (every, y, every), (up, right), ("R", "L")),
        cut("sagittal", (x, every, every), (up, front), ("A", "P")),
    )


def edge(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask that have a neighbour outside of it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: np.ndarray = mask & ~inner
    return found


def _faced(plane: np.ndarray) -> np.ndarray:
    """Of a plane whose first axis runs to the viewer's left in the picture, and whose second runs upwards."""
    return plane.T[::-1, ::-1]


def _shown(plane: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """A plane's intensities in 0 to 255."""
    low, high = window
    scaled = (plane.astype(np.float32) - low) / max(high - low, 1e-6)
    shown: np.ndarray = (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return shown
