"""scnas cross-validate: search, train and evaluate several folds, each for itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, progress, say, say_json, table

if TYPE_CHECKING:
    from scnas_deploy.cli.fold_jobs import FoldJob, RunSettings
    from scnas_deploy.data.dataset import Dataset
    from scnas_deploy.training.cross_validation import CrossValidation, Spread

_PAGE: Final = "cross-validation.html"


def cross_validate(
    project: options.ProjectOption = Path(),
    space: options.SpaceOption = None,
    preset: options.PresetOption = None,
    folds: Annotated[str, typer.Option("--folds", help="Folds to run, with commas between.")] = "0,1,2,3,4",
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help="Seeds to run each fold with, with commas between; else the project's."),
    ] = None,
    genotype: Annotated[
        Path | None, typer.Option("--genotype", help="Train this genotype.json in every fold instead of searching.")
    ] = None,
    epochs: options.EpochsOption = None,
    steps_per_epoch: options.StepsOption = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Folds to run at a time, on a GPU each.")] = 1,
    json: options.JsonOption = False,
) -> None:
    """Search, train and evaluate each fold for itself; called again, go on with what is not finished."""
    options.require_training()
    _, dataset = options.open_project(project)
    from scnas_deploy.cli.fold_jobs import RunSettings
    from scnas_deploy.cli.job_runner import JobRunner
    from scnas_deploy.training.cross_validation import CrossValidation

    chosen = RunSettings(space=space, preset=preset, num_epochs=epochs, steps_per_epoch=steps_per_epoch)
    todo = _jobs(project, folds, seeds, genotype, chosen)
    _check(todo, dataset, preset)
    _prepare(project, dataset)
    folder = _make_folder(project)
    runner = JobRunner(jobs, folder)
    try:
        runner.run(todo)
    except KeyboardInterrupt:
        note("Stopped and saved. Go on with the same command.")
        raise
    results = [job.result() for job in todo if job.next_command() is None]
    report = CrossValidation.of(results, runner.failures)
    report.save(folder)
    _write_page(report, folder)
    if json:
        say_json(report.model_dump(mode="json", by_alias=True))
    else:
        _print(report, folder)
    if report.failures:
        raise typer.Exit(1)


def _jobs(
    project: Path, folds: str, seeds: str | None, genotype: Path | None, settings: "RunSettings"
) -> "list[FoldJob]":
    from scnas_deploy.cli.fold_jobs import FoldJob

    return [
        FoldJob(
            project=project.resolve(),
            fold=fold,
            seed=seed,
            name=f"fold{fold}" if seed is None else f"fold{fold}-seed{seed}",
            genotype=None if genotype is None else genotype.resolve(),
            settings=settings,
        )
        for seed in ([None] if seeds is None else _numbers("--seeds", seeds))
        for fold in _numbers("--folds", folds)
    ]


def _numbers(option: str, text: str) -> list[int]:
    from scnas_deploy.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(option, expected="numbers with commas between", found=repr(text), remedy="Write 0,1,2")
    return list(dict.fromkeys(map(int, parts)))


def _check(todo: "Sequence[FoldJob]", dataset: "Dataset", preset: str | None) -> None:
    """Refuse everything that can be refused before the first job starts."""
    from scnas_deploy.networks.genotype import load_genotype
    from scnas_deploy.training.folds import fold_split

    options.pick_preset(preset, "auto")
    for job in todo:
        fold_split([case.id for case in dataset.cases], job.fold)
        if job.genotype is not None:
            load_genotype(job.genotype)
        job.check()


def _prepare(project: Path, dataset: "Dataset") -> None:
    """Prepare all cases once, so that jobs that run side by side only read them."""
    from scnas_deploy.data.plan import load_plan
    from scnas_deploy.training.prepared import PreparedCases

    cases = PreparedCases(dataset, load_plan(project / "plan.json"), project / ".scnas" / "cache")
    with progress("Preparing cases") as report:
        cases.load([case.id for case in dataset.cases], report)


def _make_folder(project: Path) -> Path:
    from scnas_deploy.files import make_folder

    folder = project / "runs" / "cross-validation"
    make_folder(folder)
    return folder


def _write_page(report: "CrossValidation", folder: Path) -> None:
    from scnas_deploy.files import write_text
    from scnas_deploy.reports.fold_networks import fold_runs
    from scnas_deploy.reports.folds import cross_validation_page

    write_text(folder / _PAGE, cross_validation_page(report, runs=fold_runs(report, folder.parent)))


def _print(report: "CrossValidation", folder: Path) -> None:
    labels = list(report.dice)
    rows = [
        [
            f"{result.fold}, seed {result.seed}",
            result.searched_on,
            str(result.num_cases),
            *(_number(result.dice[label]) for label in labels),
            _number(result.mean_foreground_dice),
        ]
        for result in report.results
    ]
    spreads = [*report.dice.values(), report.mean_foreground_dice]
    rows.append(["mean over folds", "", "", *(_number(spread.mean) for spread in spreads)])
    rows.append(["standard deviation", "", "", *(_number(spread.standard_deviation) for spread in spreads)])
    table(["Dice of fold", "searched on", "cases", *labels, "mean"], rows, words=("searched on",))
    for failure in report.failures:
        say(f"{failure.run} failed in `{failure.command}`: {failure.message}")
    if any(result.searched_on == "another fold's cases" for result in report.results):
        say("A genotype has seen cases that are held out here: its folds are no estimate for new data.")
    say(f"Mean foreground Dice {_in_words(report.mean_foreground_dice)}; wrote {folder / _PAGE}")


def _in_words(spread: "Spread") -> str:
    if spread.standard_deviation is None:
        return f"{_number(spread.mean)} on {spread.num_folds} fold(s)"
    deviation = f"a standard deviation of {spread.standard_deviation:.4f} over {spread.num_folds} folds"
    return f"{_number(spread.mean)} with {deviation}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
