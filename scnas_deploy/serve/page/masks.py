"""Reading a result back as a mask on its study's grid, from what was kept of it."""

from pathlib import Path
from typing import Final

import numpy as np

from scnas_deploy.data.dicom.origin import DicomOrigin
from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.data.plan import Label
from scnas_deploy.data.study import require_same_grid
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import FormatError
from scnas_deploy.files import reading, sha256_of
from scnas_deploy.results.decoded import DecodedSegmentation, UndecodedError, decode_segmentation
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.work import ResultFile, StudyAnswer
from scnas_deploy.types import LabelsXYZ

_DICOM: Final = (Format.LABELMAP, Format.SEG)
_PLACE_MM: Final = 0.01
_LABEL_LETTERS: Final = 64
"""That DICOM leaves of a structure's name."""


def read_mask(
    answer: StudyAnswer, asked_for: tuple[Format, ...], spool: Spool, volume: Volume, labels: tuple[Label, ...]
) -> LabelsXYZ:
    """Return a result's labels on its study's grid.

    Args:
        answer: Names the files.
        asked_for: Forms of the result.
        spool: Holds them.
        volume: The study.
        labels: The structures that the model knows.

    Raises:
        FormatError: If no file holds a mask, or one is not what it was when it was proven.
    """
    files = {file.format: file for file in answer.files if file.sop_class or file.format is Format.NIFTI}
    if Format.NIFTI in files:
        path = spool.path(f"{answer.folder}/{files[Format.NIFTI].name}")
        _proven(path, files[Format.NIFTI])
        found = load_nifti(path)
        require_same_grid("the mask", found, volume)
        return np.asarray(found.data[0], np.uint16)
    for form in _DICOM:
        if form in files and volume.dicom is not None:
            path = spool.path(f"{answer.folder}/{files[form].name}")
            return _placed(_decoded(_proven(path, files[form])), volume, volume.dicom, labels)
    if set(_DICOM) & set(asked_for):  # of nothing that was found, no segmentation object is made
        return np.zeros(volume.shape, np.uint16)
    raise FormatError(
        "the result",
        expected="a mask of voxels among its files",
        found="none",
        remedy="Have its rule ask for dicom-seg, dicom-labelmap or nifti as well",
    )


def _proven(path: Path, file: ResultFile) -> bytes:
    with reading(path):
        content = path.read_bytes()
    if sha256_of(content) != file.sha256:
        raise FormatError(
            "the result",
            expected=f"a file {file.name} as it was proven",
            found="another content",
            remedy="Segment the study again",
        )
    return content


def _decoded(content: bytes) -> DecodedSegmentation:
    try:
        return decode_segmentation(content)
    except UndecodedError as error:
        raise FormatError(
            "the result", expected="a segmentation object", found=str(error), remedy="Segment the study again"
        ) from error


def _placed(decoded: DecodedSegmentation, volume: Volume, origin: DicomOrigin, labels: tuple[Label, ...]) -> LabelsXYZ:
    """Put each frame where its plane lies in the volume."""
    values = _values(decoded, labels)
    labels_XYZ = np.zeros(volume.shape, np.uint16)
    for frame in decoded.frames:
        off_mm = np.linalg.norm(origin.stack.positions_mm - np.array(frame.position_mm), axis=1)
        nearest = int(off_mm.argmin())
        if off_mm[nearest] > _PLACE_MM:
            raise _elsewhere(float(off_mm[nearest]))
        x, y, z = origin.windows[nearest]
        rows, columns = frame.pixels.shape
        numbers_XY = frame.pixels.T if frame.segment == 0 else frame.pixels.T * frame.segment
        there = labels_XYZ[x : x + columns, y : y + rows, z]
        np.copyto(there, values[numbers_XY], where=numbers_XY > 0)
    return labels_XYZ


def _values(decoded: DecodedSegmentation, labels: tuple[Label, ...]) -> np.ndarray:
    """Segment number -> label value."""
    named: dict[str, int] = {label.name[:_LABEL_LETTERS]: label.value for label in labels}
    values = np.zeros(max(decoded.segments, default=0) + 1, np.uint16)
    for number, (name, *_) in decoded.segments.items():
        if number != 0:
            values[number] = named.get(name, 0)
    return values


def _elsewhere(off_mm: float) -> FormatError:
    return FormatError(
        "the result",
        expected="frames where the study's planes lie",
        found=f"one {off_mm:.3g} mm from the nearest",
        remedy="Segment the study again",
    )
