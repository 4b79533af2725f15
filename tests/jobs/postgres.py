"""A PostgreSQL of the tests' own: Debian's, on a socket in a folder of its own, without fsync."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_PLACES = ("usr/lib/postgresql/*/bin", "usr/local/pgsql/bin", "usr/bin")
_PATIENCE_SECONDS = 60


class Postgres:
    """A server that can be started and stopped again and again; it ends with the process that started it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._server: subprocess.Popen | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="scnas-pg-", dir="/tmp"))  # a socket needs a short path
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        options = ("--auth=trust", "--username=scnas", "--no-sync", "--encoding=UTF8")
        initdb = self._command("initdb", *options, "--pgdata", self._data)
        subprocess.run(initdb, check=True, capture_output=True, cwd="/tmp")

    @property
    def url(self) -> str:
        return f"postgresql://scnas@/postgres?host={self.folder}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        settings = ("listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off")
        options = [word for setting in settings for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            command = self._command("postgres", "-D", self._data, *options)
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/tmp")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while subprocess.run(self._command("pg_isready", "--quiet", "--host", self.folder)).returncode:
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """Break off all connections and end, as in a crash."""
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(timeout=_PATIENCE_SECONDS)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _command(self, program: str, *arguments: object) -> list[str]:
        """The server refuses to be started by root, so that root hands it over to its own user."""
        drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        with_parent = [*(drop or ["setpriv"]), "--pdeathsig=QUIT"]
        return [*with_parent, str(self._programs / program), *map(str, arguments)]


def find_programs() -> Path | None:
    """The folder of initdb and postgres, of the newest version."""
    found = [path for place in _PLACES for path in Path("/").glob(f"{place}/initdb")]
    return max(found).parent if found else None
