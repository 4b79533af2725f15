"""scnas evaluate --compare, from evaluations on disk."""

import json

import pytest

from scnas_deploy.training.runs import save_evaluation
from tests.training.scores import make_evaluation

WORSE = {"front": [0.5, 0.6, 0.7], "back": [0.4, 0.5, 0.6]}
BETTER = {label: [value + 0.1 for value in values] for label, values in WORSE.items()}


@pytest.fixture
def compared(scnas):
    """Runs 'first' and 'second'; the second is better by 0.1 Dice everywhere and lacks the last case."""
    second = make_evaluation(BETTER, subject="second")
    shorter = second.model_copy(update={"cases": second.cases[:2]})
    for evaluation in (make_evaluation(WORSE, subject="first"), shorter):
        folder = scnas.folder / "runs" / evaluation.subject
        folder.mkdir(parents=True)
        save_evaluation(folder, evaluation)
    return scnas


def test_it_prints_both_means_the_difference_and_its_interval(compared):
    result = compared("evaluate", "--compare", "first", "second")
    rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "Dice front 2 0.5500 0.6500 +0.1000 +0.1000 to +0.1000" in rows
    assert "Dice mean foreground 2 0.5000 0.6000 +0.1000 +0.1000 to +0.1000" in rows
    assert "HD95 mm back 2 2.0000 2.0000 +0.0000 +0.0000 to +0.0000" in rows
    assert "1 case(s) of A, 0 of B" in result.stderr


def test_names_folders_and_files_mean_the_same(compared):
    by_name = compared("evaluate", "--compare", "first", "second", "--json").stdout
    run = compared.folder / "runs"
    assert compared("evaluate", "--compare", run / "first", "runs/second", "--json").stdout == by_name
    files = [run / name / "evaluation.json" for name in ("first", "second")]
    assert compared("evaluate", "--compare", *files, "--json").stdout == by_name
    elsewhere = type(compared)(compared.folder.parent, compared.models)
    assert elsewhere("evaluate", "--project", "work", "--compare", "first", "second", "--json").stdout == by_name
    assert json.loads(by_name)["left_out_a"] == 1


def test_a_comparison_is_written_for_programs_and_people(compared, tmp_path):
    folder = tmp_path / "new" / "compared"
    result = compared("evaluate", "--compare", "first", "second", "--report", folder)
    assert f"Wrote {folder / 'comparison.html'}" in result.stdout
    assert {path.name for path in folder.iterdir()} == {"comparison.json", "comparison.html"}
    printed = compared("evaluate", "--compare", "first", "second", "--json").stdout
    assert json.loads((folder / "comparison.json").read_text()) == json.loads(printed)
    assert "second (B) against first (A)" in (folder / "comparison.html").read_text()
    compared.refused("evaluate", "--compare", "first", "third", "--report", "nowhere", status=2)


def test_a_comparison_takes_no_settings_of_an_evaluation(compared):
    beside = (("--name", "train"), ("-m", "x"), ("--fold", "0"), ("--engine", "auto"))
    for option in beside:
        assert "--compare" in compared.refused("evaluate", "--compare", "first", "second", *option, status=2)


def test_what_is_not_there_says_how_to_make_it(compared):
    assert "scnas evaluate" in compared.refused("evaluate", "--compare", "first", "third", status=2)
    (compared.folder / "runs" / "third").mkdir()
    assert "scnas evaluate" in compared.refused("evaluate", "--compare", "first", "third", status=3)


def test_other_labels_or_cases_are_refused(compared, tmp_path):
    other = make_evaluation({"liver": [0.5]}, subject="other")
    save_evaluation(tmp_path, other)
    assert "labels" in compared.refused("evaluate", "--compare", "first", tmp_path, status=3)


def test_a_damaged_evaluation_is_refused(compared):
    (compared.folder / "runs" / "second" / "evaluation.json").write_text('{"schema": 1}')
    assert "evaluation.json" in compared.refused("evaluate", "--compare", "first", "second", status=3)
