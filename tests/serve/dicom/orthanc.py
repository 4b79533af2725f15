"""A PACS of the tests' own: a real Orthanc (Debian: orthanc, orthanc-dicomweb) that can be stopped and started again.

It listens on all addresses, which cannot be changed, and answers nobody but this machine.
"""

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.ports import free_port

PROGRAM = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AE_TITLE, USER, PASSWORD = "ORTHANC", "tester", "secret"
_PATIENCE_SECONDS = 60


class Orthanc:
    """A PACS; it ends with the process that started it, and keeps its objects and ports when it is started again.

    Args:
        peers: AE title -> port, of the nodes of this machine that it knows.
        routes: A Lua script.
        changes: To its configuration.
    """

    def __init__(self, peers: dict[str, int], routes: str | None = None, **changes: Any) -> None:
        self.http_port, self.dicom_port = free_port(), free_port()
        self._process: subprocess.Popen | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="scnas-orthanc-", dir="/tmp"))
        script = self._folder / "routes.lua"
        script.write_text(routes or "")
        known = {title.lower(): {"AET": title, "Host": "127.0.0.1", "Port": port} for title, port in peers.items()}
        configuration = {
            "StorageDirectory": str(self._folder / "objects"),
            "IndexDirectory": str(self._folder / "objects"),
            "Plugins": [str(PLUGIN)],
            "LuaScripts": [str(script)] if routes else [],
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": AE_TITLE,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowMove": True,
            "UnknownSopClassAccepted": True,
            "DicomModalities": known,
            "StableAge": 1,
            "OverwriteInstances": True,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (self._folder / "orthanc.json").write_text(json.dumps(configuration | changes))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "nobody", "nogroup")

    @property
    def url(self) -> str:
        """Of its DICOMweb service."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def start(self) -> "Orthanc":
        drop = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        command = ["setpriv", *drop, "--pdeathsig=KILL", str(PROGRAM), str(self._folder / "orthanc.json")]
        with (self._folder / "log").open("ab") as log:
            at_once = os.environ | {"TCP_NODELAY": "1"}
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, env=at_once)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._answers():
            said = (self._folder / "log").read_text(errors="replace")
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Have it end in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power failure does."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def request(self, path: str, data: bytes | None = None, method: str | None = None) -> bytes:
        """Ask its own REST interface."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def get(self, path: str) -> Any:
        return json.loads(self.request(path))

    def upload(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self.request("/instances", path.read_bytes())

    def objects(self) -> list[str]:
        """SOP instance UIDs of all it has, sorted."""
        found = self.get("/instances?expand")
        return sorted(each["MainDicomTags"]["SOPInstanceUID"] for each in found)

    def file(self, sop_instance: str) -> io.BytesIO:
        """An object as it keeps it; there is one of that name."""
        (identifier,) = json.loads(self.request("/tools/lookup", sop_instance.encode()))
        return io.BytesIO(self.request(f"/instances/{identifier['ID']}/file"))

    def clear(self) -> None:
        for study in self.get("/studies"):
            self.request(f"/studies/{study}", method="DELETE")

    def _answers(self) -> bool:
        try:
            self.get("/system")
        except OSError:
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=_PATIENCE_SECONDS)
            self._process = None
