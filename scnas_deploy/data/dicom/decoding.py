"""Compressed pixels, decoded in a process that may be lost: see :mod:`scnas_deploy.data.dicom.decode_worker`."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.decode_worker import DTYPE, LENGTH

_START_S: Final = 60.0
_FRAME_S: Final = 5.0
"""Longest wait for one frame; large ones take a tenth of a second."""
_MEMORY_BYTES: Final = 2 << 30
"""Of the process, beyond what object and frames take several times over."""
_PIECE: Final = 1 << 20


class UndecodableError(Exception):
    """Pixels that no decoder here can decode, in words that identify nobody."""


class Decoder:
    """Decodes objects one after another; use it in a ``with`` block.

    Args:
        largest: Bytes of the largest object and of its frames.
    """

    def __init__(self, largest: int) -> None:
        self._limit = _MEMORY_BYTES + 4 * largest
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def frames(self, data: bytes, shape: tuple[int, int]) -> Iterator[np.ndarray]:
        """Yield an object's frames.

        Args:
            data: The whole object.
            shape: Rows and columns of a frame.

        Raises:
            UndecodableError: If that fails, takes too long or too much memory, or gives frames of another shape.
        """
        process = self._process or self._start()
        try:
            _send(process.stdin, len(data).to_bytes(LENGTH, "little") + data, time.monotonic() + _FRAME_S)
            while answer := self._answer(process, _FRAME_S):
                yield _frame(answer, shape)
        except (OSError, UndecodableError) as error:
            self._end()
            raise UndecodableError("pixels that cannot be decoded") from error
        except GeneratorExit:  # what is left of the answer is not wanted
            self._end()
            raise

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "scnas_deploy.data.dicom.decode_worker", str(self._limit)]
        self._process = process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        if self._answer(process, _START_S) != b"":
            raise UndecodableError("an unexpected answer")
        return process

    def _answer(self, process: subprocess.Popen[bytes], patience_s: float) -> bytes:
        until = time.monotonic() + patience_s
        length = int.from_bytes(_receive(process.stdout, LENGTH, until), "little")
        if length > self._limit:
            raise UndecodableError("an absurd answer")
        return _receive(process.stdout, length, until)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what it has not taken any more
                pipe.close()


def _send(pipe: Any, data: bytes, until: float) -> None:
    left = memoryview(data)
    while left:
        _, ready, _ = select.select([], [pipe], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise UndecodableError("nobody listens")
        left = left[os.write(pipe.fileno(), left[:_PIECE]) :]


def _receive(pipe: Any, count: int, until: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise UndecodableError("no answer in time")
        piece = os.read(pipe.fileno(), min(_PIECE, count - len(data)))
        if not piece:
            raise UndecodableError("the decoder ended")
        data += piece
    return bytes(data)


def _frame(answer: bytes, shape: tuple[int, int]) -> np.ndarray:
    frame = np.frombuffer(answer, np.dtype(answer[:DTYPE].decode().strip()), offset=DTYPE)
    if frame.size != shape[0] * shape[1]:
        raise UndecodableError("a frame of another size")
    return frame.reshape(shape)
