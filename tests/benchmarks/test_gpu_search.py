"""The benchmark runs where there is no GPU, and its last line is for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ("--steps", "1", "--stem-channels", "8", "--batch", "1", "--patch", "32", "32", "32")


@pytest.mark.soak
def test_three_searches_are_measured_at_equal_size():
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_search", *TINY], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout.splitlines()[-1])
    assert summary["gmacs_dints"] == pytest.approx(summary["gmacs_full"], rel=0.2)
    assert summary["gmacs_two"] < 0.5 * summary["gmacs_full"]
    assert {"time_two_over_full", "time_two_over_dints", "memory_two_over_full", "memory_two_over_dints"} < set(summary)
    assert all(value > 0 for name, value in summary.items() if name != "device")
