"""Writing files so that nothing half-written is ever left, and hashing them."""

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from scnas_deploy.errors import InputError, OutputError

LEFTOVER: Final = ".scnas-"
"""How names of temporary folders begin."""


@contextmanager
def atomic_path(target: Path, *, staging: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path that becomes ``target`` when the block ends well.

    The temporary file keeps the target's suffixes (writers choose their format by them), is synced to
    disk and renamed; on any error it is removed and an existing ``target`` stays as it was. The block may
    make a folder instead, whose files it has synced itself; then there must be no ``target`` yet.

    Args:
        target: The file or folder to write.
        staging: Where the temporary path lies, a folder of the same file system; None is beside ``target``.

    Raises:
        OutputError: If the folder is missing or not writable, or the disk is full.
    """
    check_writable(target)
    with translating(target), tempfile.TemporaryDirectory(prefix=LEFTOVER, dir=staging or target.parent) as folder:
        temporary = Path(folder) / target.name
        yield temporary
        sync(temporary)
        temporary.replace(target)
    sync(target.parent)


def remove_leftovers(folder: Path, *, age_s: float) -> None:
    """Remove what killed writers have left of :func:`atomic_path` in a folder, once it is so many seconds old."""
    for path in folder.glob(f"{LEFTOVER}*"):
        with suppress(FileNotFoundError):  # another process removes it too
            if path.is_dir() and time.time() - path.stat().st_mtime > age_s:
                shutil.rmtree(path, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text through :func:`atomic_path`."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_secret(target: Path, data: bytes) -> None:
    """Write a new file that only its owner can read.

    Raises:
        OutputError: If there is a file of that name, which is never replaced, or it cannot be written.
    """
    check_writable(target)
    with translating(target):
        with os.fdopen(_create(target), "wb") as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                target.unlink()
                raise
        sync(target.parent)


def _create(target: Path) -> int:
    """Open a file that did not exist, for its owner alone."""
    try:
        return os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise OutputError(
            target, expected="a new file", found="an existing one", remedy="It is never replaced: choose another name"
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those it lies in, where there is none.

    Raises:
        OutputError: If that is not allowed there, or a file is in the way.
    """
    with translating(path):
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            sync(path.parent)


def check_writable(target: Path) -> None:
    """Refuse an output path early, before the work whose result it is to hold.

    Raises:
        OutputError: If ``target`` is a folder, or its folder is missing or not writable.
    """
    with translating(target):
        _check_place(target)
        with tempfile.TemporaryFile(dir=target.parent):
            pass


def _check_place(target: Path) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(
            target,
            expected=f"an existing folder {folder}",
            found="no such folder",
            remedy="Create it or choose another output path",
        )
    if target.is_dir():
        raise OutputError(
            target, expected="a file name", found="an existing folder", remedy="Name a file inside the folder"
        )


def sha256_of(data: bytes) -> str:
    """Return the hexadecimal SHA-256 digest."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def translating(target: Path) -> Iterator[None]:
    """Turn what the operating system says of a failed write into an :class:`~scnas_deploy.errors.OutputError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, OutputError) or error.errno not in _WRITE_ERRORS:
            raise
        raise _output_error(target, error) from error


_WRITE_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EIO,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.ENOLCK,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turn the system's word that a file cannot be read into an :class:`~scnas_deploy.errors.InputError`.

    That there is no such file, and what libraries say of its content, stays as it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _READ_ERRORS:
            raise
        raise InputError(
            source,
            expected="a file that can be read",
            found=os.strerror(error.errno),
            remedy="Check its permissions and the disk or share it lies on, then try again",
        ) from error


_READ_ERRORS = {
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.ENOTCONN,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


def _output_error(target: Path, error: OSError) -> OutputError:
    space = "Free space or choose another disk"
    remedies = {errno.ENOSPC: space, errno.EDQUOT: space, errno.ENAMETOOLONG: "Choose a shorter name"}
    return OutputError(
        target,
        expected="a writable output path with enough space",
        found=os.strerror(error.errno) if error.errno else "an unknown input/output error",
        remedy=remedies.get(error.errno or 0, "Check the folder's permissions or choose another output path"),
    )


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
