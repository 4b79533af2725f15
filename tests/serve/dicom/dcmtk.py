"""DCMTK's programs: other people's DICOM, to send to our node and to receive from us."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_ALL
from tests.ports import free_port

_PATIENCE_SECONDS = 60


def program(name: str) -> str:
    """Find a program, or skip where that is allowed."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is not installed (apt-get install dcmtk)"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
    return found


def run(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a program to its end; what it says is in ``stdout``."""
    command = [program(name), *map(str, arguments)]
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE_SECONDS,
        env=os.environ | {"TCP_NODELAY": "1"},
    )


def send(port: int, paths: Sequence[Path], *, calling: str = "SENDER", called: str = "SCNAS") -> int:
    """Send files; return how many were taken."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        titles = ("-aet", calling, "-aec", called)
        options = ("--decompress-never", "--create-report-file", report)
        said = run("dcmsend", *options, *titles, "127.0.0.1", port, *paths).stdout
        assert report.exists(), said
        taken = re.search(r"with status SUCCESS *: (\d+)", report.read_text())
    return int(taken[1]) if taken else 0


class Receiver:
    """A Storage SCP that keeps what it takes in a folder; use it in a ``with`` block."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(exist_ok=True)
        command = [program("storescp"), *map(str, arguments), "--output-directory", str(folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self) -> "Receiver":
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._listens():
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        """Whether its port is listened on; it ends at a connection without an association, so that none is made."""
        states = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        fields = (line.split() for line in states.splitlines())
        return any(len(each) > 3 and each[1].endswith(f":{self.port:04X}") and each[3] == "0A" for each in fields)
