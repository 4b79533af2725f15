"""DICOM studies that the shipped model is made for: a real hippocampus crop, as often as wanted under other UIDs."""

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom

from scnas_deploy.data.study import load_study

CROP = "dicom/head_mr_4series/11_HCropVolume"


@cache
def _crop(folder: Path) -> tuple[bytes, ...]:
    """In the order of the planes."""
    contents = [path.read_bytes() for path in folder.iterdir()]
    return tuple(sorted(contents, key=lambda content: int(pydicom.dcmread(io.BytesIO(content)).InstanceNumber)))


def crop_objects(scnas_data: Path, number: int = 0) -> Iterator[pydicom.FileDataset]:
    """The crop's objects as those of another study, by number; 0 leaves them as they are."""
    for content in _crop(scnas_data / CROP):
        dataset = pydicom.dcmread(io.BytesIO(content))
        if number:
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
                setattr(dataset, keyword, f"{getattr(dataset, keyword)[:56]}.{number}")
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        yield dataset


def encoded(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_large(path: Path, scnas_data: Path, times: tuple[int, int, int] = (3, 3, 3)) -> Path:
    """A NIfTI study of the crop side by side with itself: many patches, and larger than the model was made for."""
    volume = load_study([scnas_data / CROP])
    data_XYZ = np.tile(volume.data[0], times)
    nib.save(nib.Nifti1Image(data_XYZ, volume.affine_ras), path)
    return path
