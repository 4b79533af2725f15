"""Which objects the server takes from others, and what it has to know of one: which study and object it is."""

import io
import re
import zlib
from dataclasses import dataclass
from typing import Any, Final

from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.errors import FormatError

IMAGE_CLASSES: Final = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.130",
    "1.2.840.10008.5.1.4.1.1.128.1",
)
"""SOP class UIDs (PS3.4 B.5) of CT, MR and PET images: classic, enhanced, legacy converted. Our own results are none of
them, so that a PACS that sends everything everywhere cannot send them round."""

TRANSFER_SYNTAXES: Final = (
    "1.2.840.10008.1.2.1",  # explicit VR little endian
    "1.2.840.10008.1.2",  # implicit VR little endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # big endian
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, the usual one
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)
"""Of images; of several that a sender offers together the first one here is chosen, lossless ones before others."""

_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SYNTAX = 0x00080016, 0x00080018, 0x0020000D, 0x00020010
_INFLATED_BYTES: Final = 4 << 20
"""Of a deflated object, to find its identifiers in."""
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")
_MAX_UID: Final = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """What an object says it is."""

    study_uid: str
    sop_class: str
    sop_instance_uid: str


def identify(encoded: io.BytesIO, syntax: str) -> Identity:
    """Read an object's identifiers, and nothing else of it.

    Args:
        encoded: Where its data set begins, behind preamble and meta information.
        syntax: Transfer syntax UID.

    Raises:
        FormatError: If one of them is missing or no UID, or it is no data set.
    """
    try:
        if syntax == _DEFLATED:
            inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded.read(_INFLATED_BYTES), _INFLATED_BYTES)
            encoded = io.BytesIO(inflated)
        return _read(encoded, syntax)
    except (FormatError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  # of damaged objects the library raises nearly every class there is
        raise _malformed(f"a damaged one ({type(error).__name__})") from None


def identify_file(content: bytes) -> Identity:
    """Read the identifiers of a file, as :func:`identify` does.

    Raises:
        FormatError: If it is no DICOM file, of a transfer syntax that is not taken, or its identifiers are wrong.
    """
    if content[_PREAMBLE : _PREAMBLE + len(_PREFIX)] != _PREFIX:
        raise _malformed("something else")
    file = io.BytesIO(content)
    file.seek(_PREAMBLE + len(_PREFIX))
    try:
        syntax = str(pydicom().filereader._read_file_meta_info(file)[_SYNTAX].value)
    except Exception as error:  # noqa: BLE001  # as above
        raise _malformed(f"a damaged one ({type(error).__name__})") from None
    if syntax not in TRANSFER_SYNTAXES:
        raise _malformed("one of a transfer syntax that is not taken")
    return identify(file, syntax)


def is_uid(text: str) -> bool:
    """Whether it has the form of a UID; zeros before a component are let pass, since there are such objects."""
    return len(text) <= _MAX_UID and _UID.fullmatch(text) is not None


def _read(encoded: io.BytesIO, syntax: str) -> Identity:
    library = pydicom()
    uid = library.uid.UID(syntax)
    dataset = library.filereader.read_dataset(
        encoded,
        uid.is_implicit_VR,
        uid.is_little_endian,
        stop_when=lambda tag, _vr, _length: tag > _STUDY,
        specific_tags=[library.tag.Tag(each) for each in (_SOP_CLASS, _SOP_INSTANCE, _STUDY)],
    )
    return Identity(_uid(dataset, _STUDY), _uid(dataset, _SOP_CLASS), _uid(dataset, _SOP_INSTANCE))


def _uid(dataset: Any, tag: int) -> str:
    value = str(dataset[tag].value) if tag in dataset else ""
    if not is_uid(value):
        raise _malformed("one whose identifiers are missing or none")
    return value


def _malformed(found: str) -> FormatError:
    return FormatError("an object", expected="a sound DICOM image", found=found, remedy="Look at what sends it")
