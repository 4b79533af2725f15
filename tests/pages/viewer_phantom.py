"""A patient of whom every side is another: a bright L at the right, front and top, told by its place in millimetres."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.data.volume import Volume

LABEL = Label(value=5, name="beacon", color="#ff0000")
FIELD_MM = (64.0, 72.0, 56.0)
"""Along R, A, S; its middle is the origin."""


def beacon(points_ras: np.ndarray) -> np.ndarray:
    """Whether points, (..., 3) in RAS+ mm, lie in the L."""
    r, a, s = np.moveaxis(points_ras, -1, 0)
    stem = (r > 6) & (r < 12) & (a > 4) & (a < 26) & (s > 5) & (s < 20)
    foot = (r > 6) & (r < 24) & (a > 4) & (a < 10) & (s > 5) & (s < 11)
    return stem | foot


def places(shape: tuple[int, ...], affine_ras: np.ndarray) -> np.ndarray:
    """(X, Y, Z, 3) RAS+ mm of each voxel's centre."""
    voxels = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    return voxels @ affine_ras[:3, :3].T + affine_ras[:3, 3]


@dataclass(frozen=True)
class Phantom:
    """The patient on a grid."""

    shape: tuple[int, int, int]
    affine_ras: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        return beacon(places(self.shape, self.affine_ras))

    @property
    def labels(self) -> np.ndarray:
        return (self.mask * LABEL.value).astype(np.uint8)

    @property
    def values(self) -> np.ndarray:
        """Dim tissue, and the L bright."""
        return np.where(self.mask, 1000, 100).astype(np.int16)

    def volume(self) -> Volume:
        return Volume(data=self.values[np.newaxis], affine_ras=self.affine_ras)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write image and mask as NIfTI."""
        import nibabel as nib

        paths = folder / "image.nii.gz", folder / "mask.nii.gz"
        for path, voxels in zip(paths, (self.values, self.labels), strict=True):
            nib.save(nib.Nifti1Image(voxels, self.affine_ras), path)
        return paths


def oriented(axes: str, spacing_mm: tuple[float, float, float] = (1.0, 1.5, 2.0), turn_degrees: float = 0.0) -> Phantom:
    """The patient on a grid whose axes run in the directions of three letters, for instance 'LAS'."""
    columns, shape = [], []
    for letter, step in zip(axes, spacing_mm, strict=True):
        axis = next(k for k, pair in enumerate(("LR", "PA", "IS")) if letter in pair)
        direction = np.zeros(3)
        direction[axis] = 1 if letter in "RAS" else -1
        columns.append(direction * step)
        shape.append(round(FIELD_MM[axis] / step))
    turned = _turn(turn_degrees) @ np.stack(columns, axis=1)
    affine = np.eye(4)
    affine[:3, :3] = turned
    affine[:3, 3] = -turned @ ((np.array(shape) - 1) / 2)
    return Phantom((shape[0], shape[1], shape[2]), affine)


def _turn(degrees: float) -> np.ndarray:
    """About all three axes."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z
