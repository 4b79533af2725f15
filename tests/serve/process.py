"""`scnas serve` as a process of its own, which a test may kill and start again on the same ports."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.ports import free_port

SCNAS = Path(sys.executable).with_name("scnas")
PATIENCE_S = 120


def wait_until(condition: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"after {patience_s} s it was not so that {what}"
        time.sleep(0.05)


class ServerProcess:
    """A server on its own settings file.

    Args:
        folder: Of the settings and the log.
        text: The settings without [dicom], [grpc] and [web] ports, which are chosen here: a format string's braces
            ``{dicom}``, ``{grpc}`` and ``{web}`` are replaced.
        environment: Of the process.
    """

    def __init__(self, folder: Path, text: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.dicom, self.grpc, self.web = free_port(), free_port(), free_port()
        self.settings = folder / "serve.toml"
        for name in ("dicom", "grpc", "web"):
            text = text.replace(f"{{{name}}}", str(getattr(self, name)))
        self.settings.write_text(text)
        self.log = folder / "log.jsonl"
        self._environment = environment
        self._process: subprocess.Popen | None = None

    def start(self) -> "ServerProcess":
        with self.log.open("ab") as log:
            command = [str(SCNAS), "serve", str(self.settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        return self

    def wait_ready(self) -> "ServerProcess":
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            return self.status("/readyz") == 200

        wait_until(is_ready, "the server is ready")
        return self

    @property
    def process(self) -> subprocess.Popen:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """As the power goes."""
        self.process.kill()
        self.process.wait()

    def stop(self, *, within_s: float = PATIENCE_S) -> int:
        """As a container is asked to end; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=within_s)

    def end(self) -> None:
        """However it stands, it is gone afterwards."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def status(self, page: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{page}", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def events(self) -> list[dict]:
        """What it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


class PeakWatch:
    """The highest resident memory of a process while the block lasts, looked at ten times a second."""

    def __init__(self, process_id: int) -> None:
        self._status, self.bytes = Path(f"/proc/{process_id}/status"), 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "PeakWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            line = next(line for line in self._status.read_text().splitlines() if line.startswith("VmRSS"))
            self.bytes = max(self.bytes, 1024 * int(line.split()[1]))
