"""Stored pixels become values: decoded, and rescaled plane by plane (PS3.3 C.11.1)."""

import io
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.decoding import Decoder, UndecodableError
from scnas_deploy.data.dicom.frames import Frame
from scnas_deploy.data.dicom.grid import Plane
from scnas_deploy.data.dicom.instances import NATIVE, Instance
from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.data.dicom.verdicts import DamagedPixels, UnsupportedSyntax, Verdict, VerdictError

_INTEGERS: Final = (np.int16, np.uint16, np.int32)


def undecodable(instances: Sequence[Instance]) -> tuple[Verdict, ...]:
    """Name the transfer syntaxes among them that nothing here can decode."""
    syntaxes = sorted({each.syntax for each in instances if not _is_decodable(each.syntax)})
    return tuple(UnsupportedSyntax(syntax=pydicom().uid.UID(syntax).name) for syntax in syntaxes)


def _is_decodable(syntax: str) -> bool:
    try:
        return bool(pydicom().pixels.get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def read_planes(planes: Sequence[Plane], subject: str) -> np.ndarray:
    """Decode and rescale planes.

    Args:
        planes: Of one size, in the order that is wanted.
        subject: What they are, for an error; identifies nobody.

    Returns:
        Shape (columns, rows, planes): whole numbers where every plane's slope and intercept are, float32 otherwise.

    Raises:
        VerdictError: If the pixels of some objects cannot be decoded.
    """
    places = _places(planes)
    columns, rows = planes[0].instance.shape
    voxels = np.empty((len(planes), rows, columns), dtype=value_type(planes))
    damaged = 0
    with Decoder(max(_largest(plane.instance) for plane in planes)) as decoder:
        for instance, frames in places.values():
            try:
                for number, stored in enumerate(stored_frames(instance, decoder)):
                    if number in frames:
                        voxels[frames[number]] = _values(stored, instance.frames[number], voxels.dtype)
            except UndecodableError:
                damaged += 1
    if damaged:
        raise VerdictError(subject, (DamagedPixels(objects=damaged),))
    return voxels.transpose(2, 1, 0)


def stored_frames(instance: Instance, decoder: Decoder) -> Iterator[np.ndarray]:
    """Yield an object's frames as they are stored, (rows, columns) each.

    Raises:
        UndecodableError: If that fails.
    """
    columns, rows = instance.shape
    stored_shape = rows * instance.tiles, columns * instance.tiles
    try:
        with instance.source.open() as file:
            data = file.read()
        stored = _native_frames(data, instance) if instance.syntax in NATIVE else decoder.frames(data, stored_shape)
        for frame in _exactly(stored, 1 if instance.tiles > 1 else len(instance.frames)):
            yield from _tiles(frame, (rows, columns))
    except (UndecodableError, MemoryError):
        raise
    except Exception as error:  # of damaged files the library raises nearly everything
        raise UndecodableError("pixels that cannot be decoded") from error


def _exactly(frames: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """All frames, which must be so many: of more or fewer it cannot be told where each belongs."""
    came = 0
    for came, frame in enumerate(frames, start=1):  # noqa: B007
        yield frame
    if came != count:
        raise UndecodableError("fewer or more frames than the object has")


def _tiles(frame: np.ndarray, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """The planes of a frame, row by row."""
    rows, columns = shape
    for top in range(0, frame.shape[0], rows):
        for left in range(0, frame.shape[1], columns):
            yield frame[top : top + rows, left : left + columns]


def _native_frames(data: bytes, instance: Instance) -> Iterator[np.ndarray]:
    library = pydicom()
    dataset = library.dcmread(io.BytesIO(data), force=True)
    dataset.file_meta.TransferSyntaxUID = instance.syntax
    yield from library.pixels.iter_pixels(dataset)


def value_type(planes: Sequence[Plane]) -> np.dtype[Any]:
    """The smallest type that holds whatever the planes may have stored, rescaled."""
    low, high = 0.0, 0.0
    for plane in planes:
        slope, intercept = plane.frame.slope, plane.frame.intercept
        if slope != int(slope) or intercept != int(intercept):
            return np.dtype(np.float32)
        ends = [slope * stored + intercept for stored in plane.instance.stored_range]
        low, high = min(low, *ends), max(high, *ends)
    fitting = [kind for kind in _INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max]
    return np.dtype(fitting[0] if fitting else np.float32)


def _values(stored: np.ndarray, frame: Frame, dtype: np.dtype[Any]) -> np.ndarray:
    if frame.slope == 1 and frame.intercept == 0:
        return stored.astype(dtype)
    return (stored * np.float64(frame.slope) + frame.intercept).astype(dtype)


def _places(planes: Sequence[Plane]) -> dict[str, tuple[Instance, dict[int, int]]]:
    """By object: where each of its frames goes."""
    places: dict[str, tuple[Instance, dict[int, int]]] = {}
    for index, plane in enumerate(planes):
        places.setdefault(plane.instance.uid, (plane.instance, {}))[1][plane.frame.number] = index
    return places


def _largest(instance: Instance) -> int:
    """Bytes of its decoded frames, at most."""
    return 4 * prod(instance.shape) * max(len(instance.frames), instance.tiles**2)
