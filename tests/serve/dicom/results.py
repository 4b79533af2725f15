"""A real result of a drawn study: its segmentation object, report, preview and labels."""

from pathlib import Path

import pydicom

from scnas_deploy.files import sha256_of_file
from scnas_deploy.results.formats import Format, write_results
from scnas_deploy.serve.work import DeliveryWork, ResultFile
from tests.results.conftest import drawn_result

NAMES = {
    "seg.dcm": Format.SEG,
    "sr.dcm": Format.SR,
    "preview.dcm": Format.PREVIEW,
    "preview.png": Format.PREVIEW,
    "labels.nii.gz": Format.NIFTI,
}


def write_result(folder: Path, geometry: str = "axial") -> list[tuple[ResultFile, Path]]:
    """Write all forms of it, and say what they are as a job does."""
    formats = (Format.SEG, Format.SR, Format.PREVIEW, Format.NIFTI)
    paths = write_results(drawn_result(folder / "study", geometry), folder / "result", formats)
    return [(described(path), path) for path in sorted(paths)]


def dicom_files(files: list[tuple[ResultFile, Path]]) -> list[tuple[ResultFile, Path]]:
    return [each for each in files if each[0].sop_class]


def delivery(destination: str, folder: str, files: list[tuple[ResultFile, Path]]) -> DeliveryWork:
    described = tuple(file for file, _ in files)
    return DeliveryWork(destination=destination, study_job=1, folder=folder, files=described)


def described(path: Path) -> ResultFile:
    uids = {}
    if path.suffix == ".dcm":
        meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
        uids = {"sop_class": meta.MediaStorageSOPClassUID, "sop_instance": meta.MediaStorageSOPInstanceUID}
    size, digest = path.stat().st_size, sha256_of_file(path)
    return ResultFile(name=path.name, format=NAMES[path.name], bytes=size, sha256=digest, **uids)
