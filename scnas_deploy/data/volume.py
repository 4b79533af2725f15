"""The one form in which a study's voxels travel."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from scnas_deploy.data.dicom.origin import DicomOrigin
from scnas_deploy.errors import GeometryError
from scnas_deploy.types import AffineRAS, Shape3, Spacing, VoxelsCXYZ

SAME_GRID_VOXELS = 0.1
"""How far apart two grids may put a voxel and still be the same."""

_MIN_DETERMINANT = 1e-6
"""Of an affine's unit columns; a sheared grid of use to anybody is far above it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NiftiForms:
    """What a NIfTI header says beyond one affine, kept so that a result carries the same header."""

    sform: AffineRAS | None
    """The stored sform in the file's own length unit, or None where the file has none."""
    sform_code: int
    qform: AffineRAS | None
    """The stored qform in the file's own length unit, or None where the file has none."""
    qform_code: int
    zooms: Spacing
    """pixdim[1..3] in the file's own length unit."""
    length_unit: str
    """'mm', 'meter', 'micron' or 'unknown' (taken as mm)."""
    time_unit: str


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Volume:
    """Voxels with their place in the patient.

    The axes follow NIfTI order everywhere; DICOM's LPS frame is converted once, where it is read.

    Raises:
        GeometryError: If the affine is not an invertible 4x4 matrix of finite numbers.
    """

    data: VoxelsCXYZ
    """Shape (C, X, Y, Z), the stored integer type or float32."""
    affine_ras: AffineRAS
    """4x4 float64, voxel index -> RAS+ mm."""
    nifti: NiftiForms | None = None
    """The NIfTI header fields to repeat in a result; None for other sources."""
    dicom: DicomOrigin | None = None
    """The planes of the DICOM series; None for other sources."""
    orientation_known: bool = True
    """False where the source does not say which way the patient lies."""
    notes: tuple[str, ...] = ()
    """What a reader had to decide, in sentences for the user."""

    def __post_init__(self) -> None:
        affine = self.affine_ras
        if not is_affine(affine):
            raise GeometryError(
                "affine",
                expected="an invertible 4x4 matrix of finite numbers",
                found=f"{np.array2string(affine, precision=3, separator=', ')}".replace("\n", ""),
                remedy="Repair the image's geometry at its source",
            )

    @property
    def shape(self) -> Shape3:
        """Voxels along X, Y, Z."""
        _, x, y, z = self.data.shape
        return x, y, z

    @property
    def num_channels(self) -> int:
        """Number of channels."""
        return int(self.data.shape[0])

    @property
    def spacing_mm(self) -> Spacing:
        """Distance between voxel centres along X, Y, Z in mm."""
        x, y, z = np.linalg.norm(self.affine_ras[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, sheared grids included."""
        return float(abs(np.linalg.det(self.affine_ras[:3, :3]))) / 1000.0


def is_affine(matrix: np.ndarray) -> bool:
    """Whether a matrix places voxels: 4x4, finite, and no axis flat or lying in the plane of the others."""
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return False
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(lengths.min() > 0 and abs(np.linalg.det(matrix[:3, :3] / lengths)) > _MIN_DETERMINANT)


def is_same_grid(volume: Volume, reference: Volume) -> bool:
    """Whether two volumes have one shape, and no voxel lies a tenth of a voxel elsewhere."""
    if volume.shape != reference.shape:
        return False
    moved = largest_move_mm(volume.affine_ras, reference.affine_ras, reference.shape)
    return moved <= SAME_GRID_VOXELS * min(reference.spacing_mm)


def largest_move_mm(first: AffineRAS, second: AffineRAS, shape: tuple[int, ...]) -> float:
    """Return by how much, at most, a voxel lies elsewhere under another affine: the corners decide."""
    corners = np.array([[*corner, 1.0] for corner in product(*((0, size - 1) for size in shape))])
    return float(np.linalg.norm((corners @ (first - second).T)[:, :3], axis=1).max())
