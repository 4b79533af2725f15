"""The site, built once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import _shared

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; a link that leads nowhere is an error."""
    target = _shared(tmp_path_factory, "site")
    with FileLock(target.with_suffix(".lock")):
        if not target.exists():
            command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
            built = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True)
            assert built.returncode == 0, built.stdout + built.stderr
    return target


def _environment() -> dict[str, str]:
    return {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
