"""DICOM series drawn for tests: asymmetric voxels on any grid, as classic or enhanced objects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from scnas_deploy.data.dicom.reading import LPS_TO_RAS

CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "enhanced MR": "1.2.840.10008.5.1.4.1.1.4.1",
}
SEEDED = "1.2.826.0.1.3680043.8.498."


def seeded_uid(*words: object) -> str:
    """A UID that is the same in every run."""
    return generate_uid(prefix=SEEDED, entropy_srcs=[str(word) for word in words])


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where a series' planes lie: axial, head first, unless said otherwise. LPS+ mm."""

    shape: tuple[int, int, int] = (20, 16, 12)
    """Columns, rows, planes."""
    spacing_mm: tuple[float, float] = (0.8, 1.1)
    """Between columns, between rows."""
    row: tuple[float, float, float] = (1.0, 0.0, 0.0)
    column: tuple[float, float, float] = (0.0, 1.0, 0.0)
    distance_mm: float = 2.5
    """Between planes; negative runs against their normal."""
    origin_mm: tuple[float, float, float] = (-31.0, 12.0, 57.0)
    shift_mm: tuple[float, float] = (0.0, 0.0)
    """Of each plane against the one before, along rows and columns: a tilt."""
    heights_mm: Sequence[float] | None = None
    """Of each plane above the first, where they are not evenly spaced."""

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.row, self.column)

    def position(self, index: int) -> np.ndarray:
        height = index * self.distance_mm if self.heights_mm is None else self.heights_mm[index]
        shift = height / self.distance_mm * np.array(self.shift_mm)
        in_plane = shift[0] * np.array(self.row) + shift[1] * np.array(self.column)
        return np.array(self.origin_mm) + height * self.normal + in_plane

    def affine_ras(self) -> np.ndarray:
        """Of the volume that the planes form, those along their normal first."""
        first, step = self.position(0), self.position(1) - self.position(0)
        if self.distance_mm < 0:
            first, step = self.position(self.shape[2] - 1), -step
        affine = np.eye(4)
        affine[:3, 0] = np.array(self.row) * self.spacing_mm[0]
        affine[:3, 1] = np.array(self.column) * self.spacing_mm[1]
        affine[:3, 2], affine[:3, 3] = step, first
        return LPS_TO_RAS @ affine


def draw_voxels(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Whole numbers of which no mirror image or transposition is alike: smooth, with a structure off its middle."""
    x, y, z = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    ramp = 300 * x + 500 * y**2 + 700 * z**3
    ball = ((x - 0.3) ** 2 + (y - 0.4) ** 2 + (z - 0.6) ** 2 < 0.04) * 400
    noise = np.random.default_rng(seed).integers(0, 5, shape)
    return (ramp + ball + noise).astype(np.int16)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawn series."""

    grid: Grid = field(default_factory=Grid)
    modality: str = "CT"
    name: str = "drawn"
    study: str = "study"
    patient: str = "NOBODY"
    intercept: int = -1024
    seed: int = 0

    @property
    def voxels(self) -> np.ndarray:
        """Values, (columns, rows, planes), planes along their normal."""
        values = draw_voxels(self.grid.shape, self.seed) + self.intercept
        return values[..., ::-1] if self.grid.distance_mm < 0 else values

    def objects(self) -> list[FileDataset]:
        """The series' objects, in the order of the planes."""
        return [self.plane(index) for index in range(self.grid.shape[2])]

    def plane(self, index: int) -> FileDataset:
        """One classic object."""
        dataset = self._common(CLASSES[self.modality], seeded_uid(self.study, self.name, index))
        dataset.ImagePositionPatient = _ds(self.grid.position(index))
        dataset.ImageOrientationPatient = _ds([*self.grid.row, *self.grid.column])
        dataset.PixelSpacing = _ds([self.grid.spacing_mm[1], self.grid.spacing_mm[0]])
        dataset.SliceThickness = f"{abs(self.grid.distance_mm):.6g}"
        dataset.InstanceNumber = index + 1
        dataset.RescaleIntercept, dataset.RescaleSlope = str(self.intercept), "1"
        _set_pixels(dataset, draw_voxels(self.grid.shape, self.seed)[..., index].T)
        return dataset

    def enhanced(self) -> FileDataset:
        """The whole series as one enhanced MR object."""
        dataset = self._common(CLASSES["enhanced MR"], seeded_uid(self.study, self.name, "enhanced"))
        dataset.NumberOfFrames = self.grid.shape[2]
        shared = Dataset()
        shared.PlaneOrientationSequence = _item(ImageOrientationPatient=_ds([*self.grid.row, *self.grid.column]))
        shared.PixelMeasuresSequence = _item(
            PixelSpacing=_ds([self.grid.spacing_mm[1], self.grid.spacing_mm[0]]),
            SliceThickness=f"{abs(self.grid.distance_mm):.6g}",
        )
        shared.PixelValueTransformationSequence = _item(
            RescaleIntercept=str(self.intercept), RescaleSlope="1", RescaleType="US"
        )
        dataset.SharedFunctionalGroupsSequence = Items([shared])
        groups = []
        for index in range(self.grid.shape[2]):
            group = Dataset()
            group.PlanePositionSequence = _item(ImagePositionPatient=_ds(self.grid.position(index)))
            group.FrameContentSequence = _item(StackID="1", InStackPositionNumber=index + 1)
            groups.append(group)
        dataset.PerFrameFunctionalGroupsSequence = Items(groups)
        _set_pixels(dataset, np.moveaxis(draw_voxels(self.grid.shape, self.seed), 2, 0).transpose(0, 2, 1))
        return dataset

    def save(self, folder: Path, change: Callable[[list[FileDataset]], list[FileDataset]] = lambda each: each) -> Path:
        """Write the classic objects, changed where that is wanted, into a folder of their own."""
        target = folder / self.name
        target.mkdir(parents=True, exist_ok=True)
        for number, dataset in enumerate(change(self.objects())):
            dataset.save_as(target / f"{number:04d}.dcm", enforce_file_format=True)
        return target

    def save_enhanced(self, folder: Path) -> Path:
        """Write the enhanced object."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.dcm"
        self.enhanced().save_as(path, enforce_file_format=True)
        return path

    def _common(self, sop_class: str, uid: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
        dataset.PatientName, dataset.PatientID = f"{self.patient}^Drawn", self.patient
        dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
        dataset.StudyInstanceUID = seeded_uid(self.study)
        dataset.SeriesInstanceUID = seeded_uid(self.study, self.name)
        dataset.FrameOfReferenceUID = seeded_uid(self.study, "frame")
        dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20200102"
        dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "030405"
        dataset.StudyID, dataset.SeriesNumber, dataset.AccessionNumber = "1", 7, "ACC"
        dataset.ReferringPhysicianName = ""
        dataset.Modality = self.modality.removeprefix("enhanced ")
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesDescription = self.name
        dataset.Manufacturer, dataset.ManufacturerModelName = "None", "Drawn"
        dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
        return dataset


def _set_pixels(dataset: FileDataset, pixels: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelData = np.ascontiguousarray(pixels.astype("<i2")).tobytes()


def _ds(values: Sequence[float] | np.ndarray) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [str(pydicom.valuerep.DSfloat(float(value), auto_format=True)) for value in values]


def _item(**values: object) -> Items:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return Items([dataset])
