"""The command line as a user calls it: another process, an own model folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import plan_phantom

SCNAS = Path(sys.executable).with_name("scnas")


class CommandLine:
    """Runs scnas in a folder."""

    def __init__(self, folder: Path, models: Path, program: Path = SCNAS) -> None:
        self.folder, self.models, self.program = folder, models, program

    def __call__(self, *arguments: object, status: int | None = 0) -> subprocess.CompletedProcess:
        """Run a command, which must end with that status, or with any."""
        result = subprocess.run(
            [str(self.program), *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "SCNAS_MODELS": str(self.models)},
            capture_output=True,
            text=True,
        )
        assert status in (None, result.returncode), result.stderr
        return result

    def refused(self, *arguments: object, status: int) -> str:
        """Run a command that must fail: one line on standard error, nothing on standard output, no file left."""
        before = set(self.folder.rglob("*"))
        result = self(*arguments, status=status)
        assert result.stdout == ""
        assert set(self.folder.rglob("*")) == before
        lines = [line for line in result.stderr.splitlines() if line.startswith("scnas: ")]
        assert len(lines) == 1
        assert result.stderr.splitlines()[-1] == lines[0]
        assert "expected" in lines[0]
        assert "found" in lines[0]
        return lines[0]


@pytest.fixture
def scnas(tmp_path) -> CommandLine:
    """A working folder and an empty model folder."""
    work = tmp_path / "work"
    work.mkdir()
    return CommandLine(work, tmp_path / "models")


@pytest.fixture
def project(scnas, phantom_dataset) -> CommandLine:
    """The working folder holds the phantom's plan."""
    plan_phantom(scnas.folder, phantom_dataset)
    return scnas


@pytest.fixture
def with_model(scnas, exported) -> CommandLine:
    """The phantom's model is installed."""
    scnas("models", "install", exported.package)
    return scnas


@pytest.fixture
def study(phantom_dataset) -> Path:
    """A NIfTI file of the phantom."""
    return phantom_dataset.cases[0].images[0]
