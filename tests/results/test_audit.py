"""The audit file where several write it."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scnas_deploy.results.audit import append_audit
from tests.results.conftest import drawn_result

_OTHER = """
import fcntl, sys
with open(sys.argv[1], "a") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    file.write('{"model": ')
    file.flush()
    print("begun", flush=True)
    sys.stdin.readline()
    file.write('"other"}\\n')
"""
_PATIENCE_S = 30


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return drawn_result(tmp_path_factory.mktemp("study"), "axial")


def models(path: Path) -> list[str]:
    return [json.loads(line)["model"] for line in path.read_text().splitlines()]


def _is_waited_for(path: Path) -> bool:
    """Whether somebody waits for a lock on a file."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(words[6].endswith(f":{path.stat().st_ino}") for words in waiting)


def test_a_line_waits_until_that_of_another_process_is_whole(result, tmp_path):
    path = tmp_path / "audit.jsonl"
    appending = threading.Thread(target=append_audit, args=(path, result, ["dicom-seg"]))
    command = [sys.executable, "-c", _OTHER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        appending.start()
        deadline = time.monotonic() + _PATIENCE_S
        while appending.is_alive() and not _is_waited_for(path):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        other.communicate("\n")
    appending.join()
    assert models(path) == ["other", result.model_name]


def test_threads_add_whole_lines(result, tmp_path):
    path = tmp_path / "audit.jsonl"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: append_audit(path, result, ["dicom-seg"]), range(12)))
    assert models(path) == [result.model_name] * 12
