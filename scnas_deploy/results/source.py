"""The DICOM objects that a result is about, with their headers."""

from dataclasses import dataclass
from typing import Any

from scnas_deploy.data.dicom.headers import UnreadableError, read_header
from scnas_deploy.data.dicom.instances import Instance
from scnas_deploy.data.dicom.origin import DicomOrigin
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ConfigError, FormatError
from scnas_deploy.results.normalisation import normalised


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """A volume's origin, and its objects' headers."""

    origin: DicomOrigin
    headers: tuple[Any, ...]
    """Data sets without pixels, each object once, in the order of the volume's planes."""

    @property
    def instances(self) -> tuple[Instance, ...]:
        """In the order of :attr:`headers`."""
        return _instances(self.origin)

    @property
    def sop_class(self) -> str:
        """SOP class UID of the objects."""
        return str(self.headers[0].SOPClassUID)

    @property
    def frame_order(self) -> list[int]:
        """The volume's planes in the order of the object's frames; as they are where each is an object of its own."""
        if len(self.headers) > 1:
            return list(range(len(self.origin.planes)))
        return sorted(range(len(self.origin.planes)), key=lambda index: self.origin.planes[index].frame.number)


def source_of(study: Volume) -> Source:
    """Read the headers of a study's objects again.

    Raises:
        ConfigError: If the study is not made of DICOM objects.
        FormatError: If one of them cannot be read any more.
    """
    if study.dicom is None:
        raise ConfigError(
            "--format",
            expected="a study of DICOM objects, which DICOM results can refer to",
            found="one of NIfTI files",
            remedy="Ask for nifti and preview only",
        )
    if not study.dicom.planes[0].instance.frame_of_reference:
        raise ConfigError(
            "--format",
            expected="images with a frame of reference, which results could share",
            found="images without",
            remedy="Ask for nifti only, or send the study as the scanner made it",
        )
    if len(_instances(study.dicom)) > 1 and any(len(plane.instance.frames) > 1 for plane in study.dicom.planes):
        raise ConfigError(
            "--format",
            expected="a series of single planes, or one enhanced object",
            found="several enhanced objects",
            remedy="Ask for nifti only",
        )
    return Source(study.dicom, tuple(_header(instance) for instance in _instances(study.dicom)))


def _instances(origin: DicomOrigin) -> tuple[Instance, ...]:
    return tuple({plane.instance.uid: plane.instance for plane in origin.planes}.values())


def _header(instance: Instance) -> Any:
    """An object's header, as results can be made with it."""
    try:
        header = read_header(instance.source).dataset
    except UnreadableError as error:
        raise FormatError(
            instance.source.name,
            expected="the object as it was when the study was read",
            found=str(error),
            remedy="Segment the study again once it is complete",
        ) from error
    return normalised(header)
