"""A DICOM object's header, read so that no file can do more harm than being listed as unreadable."""

import io
import zlib
from dataclasses import dataclass
from typing import Any, Final

from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.data.dicom.sources import Source
from scnas_deploy.errors import FormatError, InputError

NO_DICOM: Final = "no DICOM object"

_MAX_ELEMENT_BYTES: Final = 256 << 20
"""Of one element of a header."""

_MAX_INFLATED_BYTES: Final = 256 << 20
_PIECE: Final = 1 << 20
_PREAMBLE, _GROUP_LENGTH = 128 + 4, 12
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_TOLERATED: Final = 1 << 14
"""Bytes that the library asks for beyond the end at times: it looks for the end of some sequences piece by piece."""


class UnreadableError(Exception):
    """What is wrong with an object, in words that identify nobody."""


@dataclass(frozen=True, slots=True)
class Header:
    """A data set without its pixels."""

    dataset: Any
    syntax: str
    """Transfer syntax UID."""
    pixel_bytes: int | None
    """What follows the header, the pixel element's own few bytes included; None where that does not tell."""


def read_header(source: Source) -> Header:
    """Read an object up to its pixels.

    Raises:
        UnreadableError: If it is no DICOM object, or a damaged one.
        MemoryError: If the machine has too little memory.
    """
    try:
        with source.open() as file:
            return _read(file)
    except (UnreadableError, MemoryError):
        raise
    except (InputError, OSError) as error:
        raise UnreadableError(f"the system cannot read it ({type(error).__name__})") from error
    except FormatError as error:
        raise UnreadableError(error.found) from error
    except Exception as error:  # of damaged files the library raises nearly every class there is
        raise UnreadableError(f"damaged ({type(error).__name__})") from error


def _read(file: io.BufferedIOBase) -> Header:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(4096)
    deflated = _DEFLATED in head
    if deflated:
        _check_inflated(file, head)
    file.seek(0)
    bounded, library = _Bounded(file, size), pydicom()
    try:
        dataset = library.dcmread(bounded, stop_before_pixels=True)
    except library.errors.InvalidDicomError:
        file.seek(0)
        dataset = _without_preamble(bounded)
    return Header(dataset, _syntax(dataset), None if deflated else size - file.tell())


def _without_preamble(bounded: "_Bounded") -> Any:
    """Read what may be an object without preamble; most files that are none end here."""
    try:
        dataset = pydicom().dcmread(bounded, stop_before_pixels=True, force=True)
        if dataset.SOPClassUID.is_valid and dataset.SOPInstanceUID.is_valid:
            return dataset
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise UnreadableError(NO_DICOM) from error
    raise UnreadableError(NO_DICOM)


def _syntax(dataset: Any) -> str:
    stated = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if stated:
        return str(stated)
    implicit, little = dataset.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _check_inflated(file: io.BufferedIOBase, head: bytes) -> None:
    """Refuse a deflated data set that would fill the memory, before the library inflates it at once."""
    start = _PREAMBLE + _GROUP_LENGTH + int.from_bytes(head[_PREAMBLE + 8 : _PREAMBLE + _GROUP_LENGTH], "little")
    file.seek(start)
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while piece := file.read(_PIECE):
        while piece:
            total += len(inflater.decompress(piece, _PIECE))
            piece = inflater.unconsumed_tail
            if total > _MAX_INFLATED_BYTES:
                raise UnreadableError(f"more than {_MAX_INFLATED_BYTES >> 20} MB when inflated")


class _Bounded:
    """A file that answers no request beyond its end: announced lengths are not to be believed."""

    def __init__(self, file: io.BufferedIOBase, size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int = -1) -> bytes:
        """Read so many bytes."""
        left = self._size - self._file.tell()
        if count > max(left, 0) + _TOLERATED:
            raise UnreadableError("cut off, or a length in it is wrong")
        if count > _MAX_ELEMENT_BYTES:
            raise UnreadableError(f"an element of {count >> 20} MB beside its pixels")
        return self._file.read(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._file.tell()
