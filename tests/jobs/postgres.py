"""A PostgreSQL of the tests' own: Debian's, on a socket in a folder of its own, without fsync."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/usr/bin")


class Postgres:
    """A server that can be started and stopped again and again."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="scnas-pg-", dir="/tmp"))
        self._data = self.folder / "data"
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "--auth=trust", "--username=scnas", "--no-sync", "--encoding=UTF8", "--pgdata", self._data)

    @property
    def url(self) -> str:
        return f"postgresql://scnas@/postgres?host={self.folder}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._run(
            "pg_ctl", "--wait", "--pgdata", self._data, "--log", self.folder / "log", "--options", options, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "--wait", "--pgdata", self._data, "--mode", mode, "stop")

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: object) -> None:
        """The server refuses to be started by root, so that root hands it over to its own user."""
        drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        command = [*drop, str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp")


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl, of the newest version."""
    found = [path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/initdb")]
    return max(found).parent if found else None
