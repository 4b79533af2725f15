"""The benchmark of a budget in milliseconds runs through, tiny; what it measures is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.soak
def test_a_tiny_run_ends_with_its_figures_as_json(phantom_dataset, tmp_path):
    project = tmp_path / "project"
    tiny = ("--steps", "2", "--epochs", "1", "--dataset", str(phantom_dataset.root), "--project", str(project))
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.budget_ms", *tiny],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["training_steps"] == 2
    assert figures["budget_ms"] > 0
    assert {"measured_over_budget", "speedup", "dice_difference"} <= figures.keys()
