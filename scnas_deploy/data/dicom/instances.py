"""DICOM objects of a study: images that may belong to a volume, and everything else, with the reason."""

from dataclasses import dataclass, field
from typing import Any, Final

from scnas_deploy.data.dicom.attributes import text, whole, words
from scnas_deploy.data.dicom.frames import Frame, frames_of
from scnas_deploy.data.dicom.headers import Header, UnreadableError
from scnas_deploy.data.dicom.sources import Source
from scnas_deploy.files import sha256_of

_CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
    "1.2.840.10008.5.1.4.1.1.128.1": "PT",
}
"""SOP class UIDs of images that may form a volume (PS3.4 B.5): CT, MR, PET; classic, enhanced, legacy converted."""

_NO_VOLUME: Final = {"LOCALIZER": "a localizer", "SCREEN SAVE": "a screen save", "DOSE_INFO": "a dose report"}
"""Values of ImageType -> what such an object is."""


class LeftOutError(Exception):
    """Why a sound object is no image of a volume, in words that identify nobody."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Instance:
    """An image object that may belong to a volume."""

    source: Source = field(repr=False)
    uid: str
    """SOP instance UID."""
    sop_class: str
    """SOP class UID."""
    series_uid: str
    study_uid: str
    frame_of_reference: str
    patient: str = field(repr=False)
    """Digest that two objects of one patient share; it says nothing of who that is."""
    syntax: str
    """Transfer syntax UID."""
    shape: tuple[int, int]
    """Columns, rows of a plane."""
    stored_range: tuple[int, int]
    """Lowest and highest value that a pixel can store."""
    frames: tuple[Frame, ...]
    mosaic: bool
    """Whether its one plane holds many slices side by side, as Siemens stores them."""
    tiles: int = 1
    """Planes side by side in a stored frame, along each of its sides, once such a one was split."""


def instance_of(source: Source, header: Header) -> Instance:
    """Make an instance of a header.

    Raises:
        LeftOutError: If it is sound, but no image of a volume.
        UnreadableError: If it lacks what an image must have.
    """
    dataset = header.dataset
    _check_kind(dataset)
    shape = whole(dataset, "Columns", 0), whole(dataset, "Rows", 0)
    if not (0 < shape[0] <= 65535 and 0 < shape[1] <= 65535):
        raise UnreadableError("no rows or no columns")
    frames = frames_of(dataset)
    stored_range = _stored_range(header, shape[0] * shape[1] * len(frames))
    return Instance(
        source=source,
        uid=_uid(dataset, "SOPInstanceUID"),
        sop_class=_uid(dataset, "SOPClassUID"),
        series_uid=_uid(dataset, "SeriesInstanceUID"),
        study_uid=_uid(dataset, "StudyInstanceUID"),
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        patient=sha256_of("\0".join(text(dataset, key) for key in ("PatientID", "IssuerOfPatientID")).encode()),
        syntax=header.syntax,
        shape=shape,
        stored_range=stored_range,
        frames=frames,
        mosaic="MOSAIC" in words(dataset, "ImageType"),
    )


def _check_kind(dataset: Any) -> None:
    uid = _uid(dataset, "SOPClassUID")
    if uid not in _CLASSES:
        raise LeftOutError(_name(dataset.SOPClassUID))
    for word in words(dataset, "ImageType"):
        if word in _NO_VOLUME:
            raise LeftOutError(_NO_VOLUME[word])
    if whole(dataset, "SamplesPerPixel", 1) != 1:
        raise LeftOutError("a colour image")


def _name(uid: Any) -> str:
    """A SOP class in words, where the library knows it."""
    return "an object of an unknown kind" if uid.name == uid else f"{uid.name.removesuffix(' Storage')}"


def _uid(dataset: Any, keyword: str) -> str:
    uid = text(dataset, keyword)
    if not uid or not all(part.isdigit() for part in uid.split(".")):
        raise UnreadableError(f"its {keyword} is missing or none")
    return uid


def _stored_range(header: Header, num_pixels: int) -> tuple[int, int]:
    """What a pixel can store, of pixels that are there."""
    bits = whole(header.dataset, "BitsAllocated", 0)
    stored = whole(header.dataset, "BitsStored", bits)
    if bits not in (8, 16, 32) or not 0 < stored <= bits:
        raise UnreadableError(f"pixels of {stored} bits in {bits}")
    if whole(header.dataset, "HighBit", stored - 1) != stored - 1:
        raise UnreadableError("pixels whose bits do not lie lowest")
    needed = num_pixels * bits // 8 if header.syntax in NATIVE else 1
    if header.pixel_bytes is not None and header.pixel_bytes < needed:
        raise UnreadableError("its pixels are missing or cut off")
    signed = whole(header.dataset, "PixelRepresentation", 0) == 1
    return (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)


NATIVE: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
"""Transfer syntaxes that store pixels as they are."""
