"""scnas evaluate: Dice, HD95 and surface Dice of a run or of a package, and two evaluations side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.comparing import compare_evaluations
from scnas_deploy.cli.console import progress, say, say_json, table

if TYPE_CHECKING:
    from scnas_deploy.data.dataset import Dataset
    from scnas_deploy.training.evaluation import Evaluation, Evaluator

_PAGE: Final = "evaluation.html"
_WITH_COMPARE: Final = ("project", "compare", "report", "json")


def evaluate(
    context: typer.Context,
    project: options.ProjectOption = Path(),
    name: Annotated[str, typer.Option("--name", help="The training run to evaluate.")] = "train",
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="Evaluate a package or installed model instead; needs no PyTorch."),
    ] = None,
    fold: options.FoldOption = None,
    engine: options.EngineOption = "auto",
    precision: options.PrecisionOption = "auto",
    mirror: options.MirrorOption = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Also write JSON, CSV and an HTML page into this folder.", file_okay=False),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="Compare two evaluations: runs, folders or evaluation.json."),
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Score held-out cases on their own grids, or compare two evaluations."""
    from scnas_deploy.training.runs import save_evaluation

    if compare is not None:
        _refuse_with_compare(context)
        compare_evaluations(project, *compare, json=json, folder=report)
        return
    _, dataset = options.open_project(project)
    if model is None:
        _refuse_without_model(precision)
        evaluator, trained_fold = _of_run(project, name, dataset)
    else:
        evaluator, trained_fold = _of_model(model, dataset, engine, precision)
    if mirror:
        evaluator = _mirrored(evaluator)
    chosen = trained_fold if fold is None else fold
    own = options.run_folder(project, name).path if model is None and chosen == trained_fold else None
    folders = [folder for folder in (own, _made(report)) if folder is not None]
    result = _score(evaluator, chosen)
    for folder in folders:
        save_evaluation(folder, result)
    if folders:
        _write_pages(evaluator, result, folders)
    if json:
        say_json({**result.model_dump(mode="json", by_alias=True), **_means(result)})
    else:
        _print(result, folders)


def _made(report: Path | None) -> Path | None:
    """Make the report's folder and refuse it before the work if nothing can be written there."""
    from scnas_deploy.files import check_writable, make_folder
    from scnas_deploy.training.runs import EVALUATION

    if report is not None:
        make_folder(report)
        check_writable(report / EVALUATION)
    return report


def _write_pages(evaluator: "Evaluator", result: "Evaluation", folders: Sequence[Path]) -> None:
    """Write the page and, beside it, those of the cases that it shows."""
    from scnas_deploy.files import write_text
    from scnas_deploy.reports.evaluation import evaluation_page
    from scnas_deploy.reports.evaluation_cases import show_cases

    with progress("Drawing cases") as report:
        overlays = show_cases(evaluator, result, folders, progress=report)
    page = evaluation_page(result, overlays=overlays)
    for folder in folders:
        write_text(folder / _PAGE, page)


def _score(evaluator: "Evaluator", fold: int) -> "Evaluation":
    from scnas_deploy.training.folds import fold_split

    held_out = fold_split([case.id for case in evaluator.dataset.cases], fold).validation
    with progress("Evaluating") as report:
        return evaluator.evaluate(held_out, fold=fold, progress=report)


def _refuse_with_compare(context: typer.Context) -> None:
    """A comparison evaluates nothing, so that no setting of an evaluation may stand beside it."""
    from scnas_deploy.errors import ConfigError

    beside = [option for option in context.command.params if option.name not in _WITH_COMPARE]
    given = [option.opts[-1] for option in beside if _is_given(context, str(option.name))]
    if given:
        raise ConfigError(
            "--compare",
            expected="two evaluations and beside them only --project, --report and --json",
            found=", ".join(given),
            remedy="Evaluate first, then compare what was written",
        )


def _refuse_without_model(precision: str) -> None:
    """A run's network is evaluated in PyTorch, and in float32."""
    from scnas_deploy.errors import ConfigError

    if precision not in ("auto", "float32"):
        raise ConfigError(
            "--precision",
            expected="a package, with -m, beside it",
            found=f"{precision} of a run",
            remedy="Export the run in this precision and evaluate the package",
        )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _mirrored(evaluator: "Evaluator") -> "Evaluator":
    from dataclasses import replace

    from scnas_deploy.inference.mirroring import MirroringEngine

    return replace(evaluator, engine=MirroringEngine(evaluator.engine, evaluator.plan.mirror_axes))


def _of_run(project: Path, name: str, dataset: "Dataset") -> tuple["Evaluator", int]:
    options.require_training()
    from scnas_deploy.inference.engines.pytorch import TorchEngine
    from scnas_deploy.networks.genotype import whole_multiple
    from scnas_deploy.training.evaluation import Evaluator
    from scnas_deploy.training.run import load_network

    run = options.started_run(project, name)
    plan, genotype = run.network_plan(), run.genotype()
    network = load_network(run.path, genotype, plan)
    evaluator = Evaluator(
        dataset, plan, TorchEngine(network), name, whole_multiple=whole_multiple(genotype.architecture)
    )
    return evaluator, run.record().fold


def _of_model(model: str, dataset: "Dataset", engine: str, precision: str) -> tuple["Evaluator", int]:
    from scnas_deploy.inference.model import load_model
    from scnas_deploy.networks.genotype import whole_multiple
    from scnas_deploy.training.evaluation import Evaluator

    path = options.model_folder().resolve(model)
    loaded = load_model(path, engine=engine, precision=precision, trust=options.trust())
    manifest = loaded.package.manifest
    whole = whole_multiple(loaded.package.genotype.architecture)
    evaluator = Evaluator(dataset, loaded.package.plan, loaded.engine, manifest.name, whole_multiple=whole)
    return evaluator, manifest.training.fold


def _means(result: "Evaluation") -> dict[str, dict[str, float | None]]:
    return {
        "mean_dice": result.mean_dice(),
        "mean_hd95_mm": result.mean_hd95_mm(),
        "mean_nsd": result.mean_nsd(),
    }


def _print(result: "Evaluation", folders: Sequence[Path]) -> None:
    from scnas_deploy.training.evaluation import METRICS

    rows = [[case.case_id, *(_number(case.dice[label]) for label in result.labels)] for case in result.cases]
    table(["Dice of case", *result.labels], rows)
    say()
    means = list(_means(result).values())
    rows = [[label, *(_number(mean[label]) for mean in means)] for label in result.labels]
    rows.append(["mean foreground", *(_number(result.mean_foreground(metric)) for metric in METRICS)])
    table(["mean of label", "Dice", "HD95 mm", f"NSD at {result.nsd_tolerance_mm:g} mm"], rows)
    say()
    mean = f"{_number(result.mean_foreground())} on {len(result.cases)} cases of fold {result.fold}"
    say(f"Mean foreground Dice {mean}, {result.engine}")
    for folder in folders:
        say(f"Wrote {folder / _PAGE}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
