"""A real tritonserver on this machine: started on free ports, killed at the end, its log kept."""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import pytest
from tritonclient.grpc import InferenceServerClient

from tests.conftest import REQUIRE_ALL
from tests.ports import free_port

VENV = Path(__file__).parents[2] / ".venv-triton"
_PATIENCE_SECONDS = 60
_SHARED_MEMORY = re.compile(r"/dev/shm/\S+")
_SAY_PYTHON = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_config_var('LIBDIR'))"


class Installation:
    """The server's program and a folder of its backends, put together from .venv-triton."""

    def __init__(self, folder: Path) -> None:
        ask = [VENV / "bin" / "python", "-c", _SAY_PYTHON]
        version, libraries = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()
        site = VENV / "lib" / f"python{version}" / "site-packages"
        triton = site / "pytriton" / "tritonserver"
        self.program, self.backends = triton / "bin" / "tritonserver", folder / "backends"
        shutil.copytree(Path(__file__).with_name("backends"), self.backends)
        shutil.copytree(triton / "backends" / "python", self.backends / "python")
        shutil.copy(triton / "python_backend_stubs" / version / "triton_python_backend_stub", self.backends / "python")
        self.environment = {
            **os.environ,
            "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(site),
            # without these its Python stub dies, and the server waits for it for ever
            "LD_LIBRARY_PATH": f"{site / 'nvidia_pytriton.libs'}:{libraries}",
        }


class RunningTriton:
    """A server that takes up and gives back models on request.

    Args:
        installation: What is run.
        repository: The models; all are loaded at the start.
        log: What the server says; kept.
    """

    def __init__(self, installation: Installation, repository: Path, log: Path) -> None:
        self.repository, self.log = repository, log
        self._installation = installation
        self._ports = {name: free_port() for name in ("http", "grpc")}
        self.start()

    def url(self, model: str) -> str:
        return f"triton://127.0.0.1:{self._ports['grpc']}/{model}"

    def http_url(self, model: str) -> str:
        """A wrong one."""
        return f"triton://127.0.0.1:{self._ports['http']}/{model}"

    @cached_property
    def client(self) -> InferenceServerClient:
        """For what only an operator does."""
        return InferenceServerClient(f"127.0.0.1:{self._ports['grpc']}")

    def start(self, *options: object) -> None:
        """Start it, on the ports it had before, and wait until every model is ready."""
        command = [self._installation.program, "--model-repository", self.repository]
        command += ["--backend-directory", self._installation.backends]
        command += ["--backend-config=python,shm-default-byte-size=4194304"]
        command += ["--model-control-mode=explicit", "--load-model=*", "--allow-metrics=false", *options]
        for name, port in self._ports.items():
            command += [f"--{name}-port", port, f"--{name}-address", "127.0.0.1"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                env=self._installation.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its stubs die with it
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it as a power failure would, and clear away what it leaves."""
        if self._process.poll() is not None:
            return
        shared = set(_SHARED_MEMORY.findall(Path(f"/proc/{self._process.pid}/maps").read_text()))
        self.signal(signal.SIGKILL)
        self._process.wait()
        for path in shared:
            Path(path).unlink(missing_ok=True)

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self._ports['http']}/v2/health/ready", timeout=1).close()
                return
            time.sleep(0.02)
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"tritonserver is not ready, exit status {self._process.poll()}, {self.log}:\n{last}")


def require_installed() -> None:
    """Skip, or fail where everything is required, without .venv-triton."""
    if (VENV / ".installed").exists():
        return
    message = "no tritonserver: make .venv-triton/.installed"
    if REQUIRE_ALL:
        pytest.fail(message)
    pytest.skip(message)
