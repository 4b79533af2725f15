"""The benchmark of resampling runs through, tiny; what it measures of time and memory is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = ("--shape", "31", "28", "20", "--labels", "100", "--repeats", "2")


def test_both_sides_are_measured_and_agree():
    command = [sys.executable, "-m", "benchmarks.resampling", *TINY]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["max_abs_difference"] < 1e-5
    assert figures["label_agreement"] > 0.999
    assert min(figures[name] for name in ("speedup", "speedup_image", "speedup_labels", "memory_ratio")) > 0
