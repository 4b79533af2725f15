"""Decoding compressed pixels, as a process of its own: ``python -m scnas_deploy.data.dicom.decode_worker BYTES``.

Decoders are native code that a damaged file may crash, hang or make greedy; then this process is lost and no other.
Objects come on standard input, each with its length before it; what is in them goes to standard output, frame by
frame, each with its type before it. BYTES limits the process' memory.
"""

import io
import resource
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from scnas_deploy.data.dicom.library import pydicom

LENGTH: Final = 8
"""Bytes of a length, little endian; zero ends an object."""
DTYPE: Final = 4
"""Bytes of a frame's type, as NumPy writes it."""


def main() -> None:
    """Decode what comes until nothing more does."""
    limit = int(sys.argv[1])
    frames = pydicom().pixels.iter_pixels  # imported before memory is limited
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    inward, outward = sys.stdin.buffer, sys.stdout.buffer
    _answer(outward, b"")
    while data := _object(inward):
        for frame in _frames(frames, data):
            _answer(outward, frame.dtype.str.ljust(DTYPE).encode() + np.ascontiguousarray(frame).tobytes())
        _answer(outward, b"")


def _frames(iter_pixels: object, data: bytes) -> Iterator[np.ndarray]:
    dataset = pydicom().dcmread(io.BytesIO(data), force=True)
    _check_fragments(dataset.PixelData, int(dataset.get("NumberOfFrames") or 1))
    yield from iter_pixels(dataset)  # type: ignore[operator]


def _check_fragments(pixels: bytes, frames: int) -> None:
    """Refuse pixels of which it cannot be told which frame they are: the library would shift the rest (PS3.5 A.4)."""
    encaps, stream = pydicom().encaps, io.BytesIO(pixels)
    offsets = encaps.parse_basic_offsets(stream)
    fragments, _ = encaps.parse_fragments(stream)
    if frames > 1 and (len(offsets) or fragments) != frames:
        raise ValueError(f"{frames} frames, but {len(offsets)} offsets and {fragments} fragments")


def _object(inward: BinaryIO) -> bytes:
    return inward.read(int.from_bytes(inward.read(LENGTH), "little"))


def _answer(outward: BinaryIO, data: bytes) -> None:
    outward.write(len(data).to_bytes(LENGTH, "little") + data)
    outward.flush()


if __name__ == "__main__":
    main()
