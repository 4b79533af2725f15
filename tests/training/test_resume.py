"""Killed and resumed, search and training end bit for bit as if nothing had happened."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from scnas_deploy.networks.genotype import load_genotype
from tests.killing import assert_same_run, end_when, num_epochs_logged, run, start

BUDGET = ("--budget-gmacs", "0.02", "--stem-channels", "16")

SHORT = {
    "search": ("search", "--preset", "cpu", "--epochs", "4", "--steps-per-epoch", "2", *BUDGET),
    "ronasmis": ("search", "--space", "ronasmis", "--preset", "cpu", "--epochs", "4", "--steps-per-epoch", "2"),
    "train": ("train", "--preset", "cpu", "--epochs", "4", "--steps-per-epoch", "2", "--stem-channels", "8"),
}


def whole(project: Path, kind: str) -> Path:
    """The folder of an uninterrupted run."""
    folder = project / "runs" / f"{kind}-whole"
    if not folder.exists():
        result = run(*command(kind, "whole"), project=project)
        assert result.returncode == 0, result.stderr
    return folder


def command(kind: str, name: str) -> tuple[str, ...]:
    genotype = ("--genotype", "genotype.json") if kind == "train" else ()
    return (*SHORT[kind], *genotype, "--name", f"{kind}-{name}")


def resume(project: Path, kind: str, name: str, *options: str) -> None:
    result = run(SHORT[kind][0], "--resume", "--name", f"{kind}-{name}", *options, project=project)
    assert result.returncode == 0, result.stderr


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["search", "ronasmis", "train"])
def test_a_killed_run_resumes_to_the_same_bits(project, kind):
    folder = project / "runs" / f"{kind}-killed"
    process = start(*command(kind, "killed"), project=project)
    end_when(process, lambda: num_epochs_logged(folder) >= 2, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    resume(project, kind, "killed")
    assert_same_run(folder, whole(project, kind))
    if kind != "train":
        assert_same_genotype(folder, whole(project, kind))


def assert_same_genotype(first: Path, second: Path) -> None:
    ours, theirs = (load_genotype(folder / "genotype.json") for folder in (first, second))
    assert ours.architecture == theirs.architecture
    assert ours.budget == theirs.budget
    assert ours.budget is None or ours.budget.measured <= 0.02
    assert ours.provenance.final_entropy == theirs.provenance.final_entropy


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_says_how_to_go_on(project, number):
    folder = project / "runs" / f"train-{number.name}"
    process = start(*command("train", number.name), project=project)
    _, err = end_when(process, lambda: num_epochs_logged(folder) >= 1, number)
    assert process.returncode == 130
    assert f"scnas train --resume --name train-{number.name}" in err
    resume(project, "train", number.name)
    assert_same_run(folder, whole(project, "train"))


def test_a_started_run_is_not_overwritten(project):
    whole(project, "search")
    result = run(*command("search", "whole"), project=project)
    assert result.returncode == 2
    assert "--resume" in result.stderr


def test_a_resumed_run_takes_no_other_settings(project):
    whole(project, "search")
    result = run("search", "--resume", "--name", "search-whole", "--seed", "3", project=project)
    assert result.returncode == 2
    assert "--seed" in result.stderr


@pytest.mark.soak
@pytest.mark.parametrize("kind", list(SHORT))
def test_killed_again_and_again_at_any_moment_a_run_still_ends_the_same(project, kind):
    rng = random.Random(1)
    folder = project / "runs" / f"{kind}-often"
    arguments, killed, patience = command(kind, "often"), 0, 9.0
    while killed < 6:
        process = start(*arguments, project=project)
        moment = time.monotonic() + rng.uniform(3.0, patience)
        end_when(process, lambda moment=moment: time.monotonic() > moment, signal.SIGKILL)
        if (folder / "run.json").is_file():
            arguments, killed = (SHORT[kind][0], "--resume", "--name", f"{kind}-often"), killed + 1
        else:
            shutil.rmtree(folder, ignore_errors=True)
            patience += 3.0  # a busy machine needs longer to begin
    resume(project, kind, "often")
    assert_same_run(folder, whole(project, kind))
