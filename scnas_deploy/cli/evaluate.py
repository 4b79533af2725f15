"""scnas evaluate: Dice per case and class, of a run or of a package."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import progress, say, say_json, table

if TYPE_CHECKING:
    from scnas_deploy.data.dataset import Dataset
    from scnas_deploy.training.evaluation import Evaluation, Evaluator


def evaluate(
    project: options.ProjectOption = Path(),
    name: Annotated[str, typer.Option("--name", help="The training run to evaluate.")] = "train",
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="Evaluate a package or installed model instead; needs no PyTorch."),
    ] = None,
    fold: options.FoldOption = None,
    engine: options.EngineOption = "auto",
    json: options.JsonOption = False,
) -> None:
    """Score held-out cases on their own grids."""
    from scnas_deploy.training.folds import fold_split

    _, dataset = options.open_project(project)
    if model is None:
        evaluator, trained_fold = _of_run(project, name, dataset)
    else:
        evaluator, trained_fold = _of_model(model, dataset, engine)
    chosen = trained_fold if fold is None else fold
    held_out = fold_split([case.id for case in dataset.cases], chosen).validation
    with progress("Evaluating") as report:
        result = evaluator.evaluate(held_out, fold=chosen, progress=report)
    if model is None and chosen == trained_fold:
        options.run_folder(project, name).save_evaluation(result)
    if json:
        say_json({**result.model_dump(mode="json"), "mean_dice": result.mean_dice()})
    else:
        _print(result)


def _of_run(project: Path, name: str, dataset: "Dataset") -> tuple["Evaluator", int]:
    options.require_training()
    from scnas_deploy.inference.engines.pytorch import TorchEngine
    from scnas_deploy.training.evaluation import Evaluator
    from scnas_deploy.training.run import load_network

    run = options.run_folder(project, name)
    network = load_network(run.path, run.genotype(), run.plan())
    return Evaluator(dataset, run.plan(), TorchEngine(network)), run.record().fold


def _of_model(model: str, dataset: "Dataset", engine: str) -> tuple["Evaluator", int]:
    from scnas_deploy.inference.model import load_model
    from scnas_deploy.training.evaluation import Evaluator

    loaded = load_model(options.model_folder().resolve(model), engine=engine)
    return Evaluator(dataset, loaded.package.plan, loaded.engine), loaded.package.manifest.training.fold


def _print(result: "Evaluation") -> None:
    names = list(result.cases[0].dice)
    rows = [[case.case_id, *(_number(case.dice[name]) for name in names)] for case in result.cases]
    means = result.mean_dice()
    rows.append(["mean", *(_number(means[name]) for name in names)])
    table(["case", *names], rows)
    mean = f"{_number(result.mean_foreground())} on {len(result.cases)} cases of fold {result.fold}"
    say(f"Mean foreground Dice {mean}, {result.engine}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
