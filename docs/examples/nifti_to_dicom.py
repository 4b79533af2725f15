"""Write a NIfTI image as a DICOM study of one MR series, for trying a server without a patient's images.

Nobody's name is in it. From the folder of the clone: python -m docs.examples.nifti_to_dicom IMAGE.nii.gz FOLDER
"""

import argparse
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import DSfloat

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
"""NIfTI's axes point to the patient's right, front and head; DICOM's to the left, back and head."""


def main() -> None:
    """Write one object a plane and say how many."""
    parser = argparse.ArgumentParser(description="Write a NIfTI image as a DICOM study.")
    parser.add_argument("image", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patient", default="PHANTOM", help="patient ID to write")
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    planes = draw_series(told.image, told.patient)
    for plane in planes:
        plane.save_as(told.folder / f"{plane.InstanceNumber:04d}.dcm", enforce_file_format=True)
    sys.stdout.write(f"{len(planes)} objects in {told.folder}, study {planes[0].StudyInstanceUID}\n")


def draw_series(path: Path, patient: str) -> list[FileDataset]:
    """Return an object for each plane along the image's third axis."""
    image = nib.load(path)
    affine = RAS_TO_LPS @ image.affine[:3]
    values = np.asarray(image.dataobj)
    stored = np.round(np.clip(values, 0, None) * (4095 / values.max())).astype("<u2")
    uids = [generate_uid() for _ in range(3)]
    return [_plane(stored[..., index], index, affine, uids, patient) for index in range(values.shape[2])]


def _plane(pixels_XY: np.ndarray, index: int, affine: np.ndarray, uids: list[str], patient: str) -> FileDataset:
    spacing = np.linalg.norm(affine[:, :3], axis=0)
    plane = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    plane.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plane.SOPClassUID = plane.file_meta.MediaStorageSOPClassUID = MRImageStorage
    plane.SOPInstanceUID = plane.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    plane.StudyInstanceUID, plane.SeriesInstanceUID, plane.FrameOfReferenceUID = uids
    plane.PatientID, plane.PatientName, plane.PatientBirthDate, plane.PatientSex = patient, f"{patient}^Drawn", "", "O"
    plane.StudyDate, plane.StudyTime, plane.StudyID, plane.AccessionNumber = "20260101", "120000", "1", ""
    plane.ReferringPhysicianName = ""
    plane.Modality, plane.SeriesNumber, plane.SeriesDescription, plane.Manufacturer = "MR", 1, "phantom", ""
    plane.ImageType, plane.InstanceNumber = ["DERIVED", "PRIMARY", "OTHER"], index + 1
    plane.ImagePositionPatient = _decimals(affine @ [0, 0, index, 1])
    plane.ImageOrientationPatient = _decimals([*affine[:, 0] / spacing[0], *affine[:, 1] / spacing[1]])
    plane.PixelSpacing = _decimals([spacing[1], spacing[0]])
    plane.SliceThickness, plane.PositionReferenceIndicator, plane.PatientPosition = (
        _decimals([spacing[2]])[0],
        "",
        "HFS",
    )
    plane.ScanningSequence, plane.SequenceVariant, plane.ScanOptions, plane.MRAcquisitionType = "RM", "NONE", "", "3D"
    plane.EchoTime = plane.EchoTrainLength = plane.RepetitionTime = None
    plane.Columns, plane.Rows = pixels_XY.shape
    plane.SamplesPerPixel, plane.PhotometricInterpretation, plane.PixelRepresentation = 1, "MONOCHROME2", 0
    plane.BitsAllocated, plane.BitsStored, plane.HighBit = 16, 12, 11
    plane.PixelData = np.ascontiguousarray(pixels_XY.T).tobytes()
    return plane


def _decimals(values: object) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [str(DSfloat(float(value), auto_format=True)) for value in np.atleast_1d(values)]


if __name__ == "__main__":
    main()
