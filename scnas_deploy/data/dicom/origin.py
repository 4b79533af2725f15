"""Where a volume that was read from DICOM comes from, kept so that a result can refer to it."""

from dataclasses import dataclass

import numpy as np

from scnas_deploy.data.dicom.grid import Plane, Stack
from scnas_deploy.data.dicom.verdicts import Correction


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class DicomOrigin:
    """The planes of a series, and where they lie in the volume made of them."""

    stack: Stack
    windows: tuple[tuple[int, int, int], ...]
    """Of each plane: the voxel (x, y, z) that is nearest to its first pixel."""
    corrections: tuple[Correction, ...] = ()
    """What was done to the planes to make a grid of them."""
    further: tuple["DicomOrigin", ...] = ()
    """Of the further channels of a volume, which were brought to this one's grid."""

    @property
    def all_corrections(self) -> tuple[Correction, ...]:
        """What was done to any channel's planes."""
        origins = (self, *self.further)
        return tuple(dict.fromkeys(correction for origin in origins for correction in origin.corrections))

    @property
    def planes(self) -> tuple[Plane, ...]:
        """In the order of their positions along the normal."""
        return self.stack.planes

    def on_planes(self, voxels_XYZ: np.ndarray) -> np.ndarray:
        """Return a mask's part on each source plane, shape (planes, rows, columns)."""
        columns, rows = self.planes[0].instance.shape
        return np.stack([voxels_XYZ[x : x + columns, y : y + rows, z].T for x, y, z in self.windows])
