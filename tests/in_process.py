"""The command line without a process of its own, where a test needs dozens of calls or a stand-in for an engine."""

import contextlib
import io
import os
import subprocess
from pathlib import Path

import pytest

from scnas_deploy.cli.main import run


def scnas_here(folder: Path, *arguments: object, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run ``scnas`` in a folder, without a terminal."""
    call = ["scnas", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, Path(os.devnull).open() as nothing:
        patched.chdir(folder)
        patched.setattr("sys.argv", call)
        patched.setattr("sys.stdin", nothing)
        for name, value in environment.items():
            patched.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            run()
    return subprocess.CompletedProcess(call, int(ended.value.code or 0), out.getvalue(), err.getvalue())
