"""A container engine of a test's own: podman and runc from Debian, with all that they keep in one folder.

They need root, as do the tests that use them. The base image is drawn up from Debian's packages, since no registry is
asked: Debian 12 and its Python 3.11 and pip, at the places where the real base has them.
"""

import shutil
import subprocess
from pathlib import Path

from tests.deploy.tools import missing

_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_PIP_SETTINGS = Path("/etc/pip.conf")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_RIGHTS = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none", "--tmpfs=/tmp")
_LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
"""No more than a machine without CAP_SYS_RESOURCE can give."""


class Engine:
    """Builds and runs images; use it in a ``with`` block.

    Args:
        folder: Holds images and containers.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("podman", "runc", "debootstrap"):
            if shutil.which(name) is None:
                missing(name)
        places = (f"--root={folder}/storage", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp")
        self._command = ("podman", *places, "--storage-driver=overlay", "--runtime=runc", "--cgroup-manager=cgroupfs")
        self._folder = folder

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.call("rm", "--all", "--force", "--time=0")
        self.call("rmi", "--all", "--force")
        shutil.rmtree(self._folder)

    def call(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Call it; returns what it prints."""
        ended = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True)
        said = ended.stderr.decode(errors="replace")
        assert ended.returncode == 0, f"{' '.join(arguments)}: {said[-3000:]}"
        return ended.stdout.decode()

    def succeeds(self, *arguments: str) -> bool:
        """Call it; returns whether that went well."""
        return subprocess.run([*self._command, *arguments], capture_output=True).returncode == 0

    def make_base(self, name: str) -> None:
        """Draw up an image that stands for the base."""
        root = self._folder / "root"
        drawn = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)]
        subprocess.run(drawn, check=True, capture_output=True)
        for program in ("python", "pip"):
            (root / "usr/local/bin" / program).symlink_to(f"/usr/bin/{program}3")
        for path in (_PIP_SETTINGS, _AUTHORITIES):  # how this machine reaches its index
            if path.exists():
                shutil.copyfile(path, root / path.relative_to("/"))
        packed = self._folder / "root.tar"
        without = ("--exclude=./var/cache/apt", "--exclude=./var/lib/apt/lists")
        subprocess.run(["tar", "--create", f"--file={packed}", f"--directory={root}", *without, "."], check=True)
        self.call("import", "--quiet", str(packed), name)
        packed.unlink()
        shutil.rmtree(root)

    def run(self, image: str, *command: str, options: tuple[str, ...] = ()) -> str:
        """Run a program of an image as deployed: without rights, network or anything to write to."""
        return self.call("run", "--rm", "--no-healthcheck", *_RIGHTS, *_LIMITS, *options, image, *command)

    def start(self, image: str, name: str, *options: str) -> None:
        """Start what an image is for, in the background."""
        self.call("run", "--detach", "--no-healthcheck", f"--name={name}", *_RIGHTS, *_LIMITS, *options, image)
