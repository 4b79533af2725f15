"""A pseudo-terminal of a chosen width, in this process."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scnas_deploy.cli.main import run

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Shown:
    """What was written to a terminal."""

    def __init__(self) -> None:
        self.raw = ""
        self.status = 0

    @property
    def lines(self) -> list[str]:
        """Its lines, those that were written over included, without control sequences."""
        erased = _SEQUENCE.sub(lambda found: "\n" if found[2] == "K" else "", self.raw)
        return [line.rstrip() for line in re.split(r"[\r\n]+", erased) if line.strip()]

    @property
    def colours(self) -> list[str]:
        """Control sequences that set a colour: all styles but bold, dim, italic, underline and their end."""
        styles = [found[1] for found in _SEQUENCE.finditer(self.raw) if found[2] == "m"]
        return [style for style in styles if not set(style.split(";")) <= {"", "0", "1", "2", "3", "4"}]


@contextmanager
def terminal(columns: int = 80, *, encoding: str = "utf-8", **environment: str) -> Iterator[Shown]:
    """Have standard output and error go to a terminal."""
    shown, pieces = Shown(), []
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read() -> None:
        with suppress(OSError):  # the terminal is gone
            while piece := os.read(master, 65536):
                pieces.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with pytest.MonkeyPatch.context() as patched, os.fdopen(slave, "w", 1, encoding) as screen:
            for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES"):
                patched.delenv(name, raising=False)
            for name, value in {"TERM": "xterm-256color", **environment}.items():
                patched.setenv(name, value)
            patched.setattr(sys, "stdout", screen)
            patched.setattr(sys, "stderr", screen)
            yield shown
    finally:
        reader.join()
        os.close(master)
        shown.raw = b"".join(pieces).decode(encoding)


def on_terminal(work: Callable[[], object], columns: int = 80, **environment: str) -> Shown:
    """Call something whose output goes to a terminal."""
    with terminal(columns, **environment) as shown:
        work()
    return shown


def scnas_on_terminal(folder: Path, *arguments: object, encoding: str = "utf-8", **environment: str) -> Shown:
    """Run ``scnas`` in a folder, on a terminal of 80 columns."""
    with pytest.MonkeyPatch.context() as patched, terminal(encoding=encoding, **environment) as shown:
        patched.chdir(folder)
        patched.setattr(sys, "argv", ["scnas", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
    shown.status = int(ended.value.code or 0)
    return shown
