"""Running a command, ending it at a chosen moment, and comparing what two runs left behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scnas_deploy.training.checkpoint import load_checkpoint
from scnas_deploy.training.loop import CHECKPOINT
from scnas_deploy.training.metrics_log import CLOCK_FIELDS, read_metrics

SCNAS = Path(sys.executable).with_name("scnas")
_PATIENCE_SECONDS = 300


def start(*arguments: str, project: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [str(SCNAS), *arguments], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*arguments: str, project: Path) -> subprocess.CompletedProcess:
    process = start(*arguments, project=project)
    out, err = output_of(process)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def end_when(process: subprocess.Popen, condition: Callable[[], bool], number: signal.Signals) -> tuple[str, str]:
    """Send a signal as soon as the condition holds or the process has ended by itself."""
    wait_until(process, condition)
    process.send_signal(number)
    return output_of(process)


def wait_until(process: subprocess.Popen, condition: Callable[[], bool]) -> None:
    """Wait until the condition holds or the process has ended by itself."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition() and process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"after {_PATIENCE_SECONDS} s it had not come so far:\n{process.communicate()[1]}")
        time.sleep(0.01)


def output_of(process: subprocess.Popen) -> tuple[str, str]:
    """What it wrote until it ended; it is not left behind when that takes too long."""
    try:
        return process.communicate(timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"after {_PATIENCE_SECONDS} s it had not ended:\n{process.communicate()[1]}")


def num_epochs_logged(run_folder: Path) -> int:
    return len(read_metrics(run_folder / "metrics.jsonl"))


def assert_same_run(first: Path, second: Path) -> None:
    """Metrics (clock fields aside) and every tensor and number of the checkpoint are identical to the bit."""
    assert _without_clock(first) == _without_clock(second)
    states = [load_checkpoint(folder / CHECKPOINT) for folder in (first, second)]
    for state in states:
        state["loop"].pop("seconds")
    _assert_equal(*states, "")


def _without_clock(folder: Path) -> list[dict]:
    records = read_metrics(folder / "metrics.jsonl")
    assert records
    return [{name: value for name, value in record.items() if name not in CLOCK_FIELDS} for record in records]


def _assert_equal(first: object, second: object, path: str) -> None:
    assert type(first) is type(second), path
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            _assert_equal(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), path
        for index, pair in enumerate(zip(first, second, strict=True)):
            _assert_equal(*pair, f"{path}/{index}")
    else:
        assert first == second, path
