"""Where a study's objects lie: files, folders of them, and zip archives."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from scnas_deploy.errors import FormatError
from scnas_deploy.files import reading

_MAX_MEMBER_BYTES: Final = 4 << 30
_MAX_RATIO: Final = 1000
"""Of a member's bytes to those it takes in the archive; images shrink to a third, masks to a hundredth."""


@runtime_checkable
class Source(Protocol):
    """Bytes that may be a DICOM object."""

    @property
    def name(self) -> str:
        """What the user knows it by. It may name a patient: never for a log."""

    def open(self) -> io.BufferedIOBase:
        """Open the bytes for reading and seeking.

        Raises:
            OSError: If that is not possible.
            FormatError: If an archive is damaged there.
        """


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file."""

    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def open(self) -> io.BufferedIOBase:
        """Open the file."""
        return self.path.open("rb")


@dataclass(frozen=True, slots=True, eq=False)
class ZipSource:
    """A member of a zip archive, read into memory; nothing is unpacked to disk, so that its name leads nowhere."""

    path: Path
    archive: Any
    member: Any

    @property
    def name(self) -> str:
        """The archive's path and the member's name."""
        return f"{self.path}/{self.member.filename}"

    def open(self) -> io.BufferedIOBase:
        """Read the member."""
        size, packed = self.member.file_size, max(1, self.member.compress_size)
        if size > _MAX_MEMBER_BYTES or size / packed > _MAX_RATIO:
            raise self._error(f"{size} bytes packed into {packed}")
        if self.member.flag_bits & 1:
            raise self._error("an encrypted one")
        try:
            with self.archive.open(self.member) as file:
                return io.BytesIO(file.read(size))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise self._error(f"damaged content ({type(error).__name__})") from error

    def _error(self, found: str) -> FormatError:
        return FormatError(
            self.name, expected="a sound zip member", found=found, remedy="Pack the study again, or give its folder"
        )


def list_sources(paths: Iterable[Path]) -> list[Source]:
    """List all files of a study, in an order that does not depend on the file system.

    Args:
        paths: Files, folders (searched all the way down, links to folders not followed) and zip archives.

    Raises:
        FormatError: If one is missing, or an archive cannot be read.
        InputError: If the system cannot read one just now.
    """
    return [source for path in paths for source in _sources_of(path)]


def _sources_of(path: Path) -> Iterator[Source]:
    if path.is_dir():
        with reading(path):
            files = sorted(each for each in path.rglob("*") if each.is_file())
        yield from map(FileSource, files)
    elif not path.is_file():
        raise FormatError(path, expected="a file, folder or zip archive", found="none", remedy="Check the path")
    elif is_zip(path):
        yield from _members(path)
    else:
        yield FileSource(path)


def is_zip(path: Path) -> bool:
    """Whether a file begins like a zip archive."""
    with reading(path), path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _members(path: Path) -> Iterator[Source]:
    try:
        with reading(path):
            archive = zipfile.ZipFile(path)
            members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise FormatError(
            path, expected="a sound zip archive", found="a damaged one", remedy="Pack the study again"
        ) from error
    yield from (ZipSource(path, archive, member) for member in sorted(members, key=lambda each: each.filename))
