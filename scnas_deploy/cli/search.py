"""scnas search: find a genotype."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scnas_deploy.cli import budgets, options, processes
from scnas_deploy.cli.console import note, progress, say, say_json

if TYPE_CHECKING:
    from scnas_deploy.networks.genotype import Genotype
    from scnas_deploy.search.config import SearchConfig
    from scnas_deploy.training.runs import RunFolder


class Sampling(StrEnum):
    """How many operations an edge executes in a step."""

    TWO = "two"
    TOP2 = "top2"
    ONE = "one"
    FULL = "full"


class Betas(StrEnum):
    """The readings of "(0.1, 0.001)"."""

    COMPLEMENT = "complement"
    LITERAL = "literal"


class TauSchedule(StrEnum):
    """How the temperature falls."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


def search(
    project: options.ProjectOption = Path(),
    name: Annotated[str, typer.Option("--name", help="Name of the run, a folder in runs/.")] = "search",
    preset: options.PresetOption = None,
    fold: options.FoldOption = None,
    seed: options.SeedOption = None,
    epochs: options.EpochsOption = None,
    steps_per_epoch: options.StepsOption = None,
    sampling: Annotated[
        Sampling | None,
        typer.Option("--sampling", help="What an edge executes: two draws (the paper), the top two, one, or all."),
    ] = None,
    betas: Annotated[
        Betas | None, typer.Option("--betas", help="Reading of the paper's Adam betas for the weights.")
    ] = None,
    tau: Annotated[TauSchedule | None, typer.Option("--tau", help="How the temperature falls.")] = None,
    budget_gmacs: budgets.GmacsOption = None,
    budget_bytes: budgets.BytesOption = None,
    budget_ms: budgets.MsOption = None,
    costs: budgets.CostsOption = None,
    stem_channels: budgets.StemOption = None,
    resume: options.ResumeOption = False,
    gpus: options.GpusOption = 1,
    json: options.JsonOption = False,
) -> None:
    """Find a genotype on the training cases of one fold."""
    options.require_training()
    settings, dataset = options.open_project(project)
    run = options.run_folder(project, name)
    processes.spread(gpus)
    from scnas_deploy.search.config import BETAS, SearchConfig
    from scnas_deploy.search.run import search as run_search
    from scnas_deploy.training.folds import fold_split
    from scnas_deploy.training.prepared import PreparedCases
    from scnas_deploy.training.runs import load_config

    overrides = {
        "num_epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "sampling": None if sampling is None else sampling.value,
        "weight_betas": None if betas is None else BETAS[betas],
        "tau_schedule": None if tau is None else tau.value,
    }
    budget = budgets.BudgetOptions(budget_gmacs, budget_bytes, budget_ms, costs, stem_channels)

    def start() -> None:
        if resume:
            options.refuse_with_resume(preset=preset, fold=fold, seed=seed, **overrides, **budget.given())
            world.check_batch(load_config(SearchConfig, run.record()).batch_size)
            return
        chosen = options.pick_preset(preset, settings.search.preset)
        config = _config(chosen, settings.search.seed if seed is None else seed, overrides)
        world.check_batch(config.batch_size)
        _start(run, project, chosen, settings.search.fold if fold is None else fold, config, budget)

    with processes.joined() as world:
        processes.on_main(world, start)
        record, plan = run.record(), run.plan()
        config = load_config(SearchConfig, record)
        _announce(config, record.preset, record.fold)
        cases = PreparedCases(dataset, plan, project / ".scnas" / "cache")
        split = fold_split([case.id for case in dataset.cases], record.fold)
        training = processes.load_cases(cases, split.training, world)
        with options.resumable(f"scnas search --resume --name {name}", gpus), progress("Searching") as report:
            genotype = run_search(
                config,
                plan,
                training,
                run.path,
                fold=record.fold,
                resume=resume,
                progress=report,
                world=world,
                costs=budgets.load_run_costs(run.path),
            )
        if json:
            say_json(genotype.model_dump(mode="json", by_alias=True))
        else:
            _print(genotype, run)


def _config(preset: str, seed: int, overrides: dict[str, Any]) -> "SearchConfig":
    from scnas_deploy.search.config import PRESETS

    given = {name: value for name, value in overrides.items() if value is not None}
    return dataclasses.replace(PRESETS[preset], seed=seed, **given)


def _start(
    run: "RunFolder", project: Path, preset: str, fold: int, config: "SearchConfig", budget: budgets.BudgetOptions
) -> None:
    from scnas_deploy.data.plan import load_plan
    from scnas_deploy.training.runs import RunRecord, dump_config

    plan = load_plan(project / "plan.json")
    limit, costs = budget.resolve(config.operations, plan)
    config = dataclasses.replace(config, budget=limit)
    run.create(RunRecord(kind="search", fold=fold, preset=preset, config=dump_config(config)), plan)
    if costs is not None:
        costs.save(run.path / budgets.COSTS)


def _announce(config: "SearchConfig", preset: str, fold: int) -> None:
    from scnas_deploy.networks.genotype import Operation

    note(f"Preset '{preset}', fold {fold} held out, stem {config.stem_channels} channels.")
    if config.budget is not None:
        note(f"Budget {config.budget} a patch, for a network of {config.budget.stem_channels} channels.")
    if len(config.operations) < len(Operation):
        names = ", ".join(config.operations)
        note(f"The preset restricts the search to {len(config.operations)} of 8 operations: {names}.")


def _print(genotype: "Genotype", run: "RunFolder") -> None:
    from scnas_deploy.networks.genotype import CellType, ScnasArchitecture

    found, architecture = genotype.provenance, genotype.architecture
    assert isinstance(architecture, ScnasArchitecture)
    figures = f"{genotype.gmacs:.2f} GMAC a patch, entropy {found.final_entropy:.2f}"
    for text in found.warnings:
        note(f"warning: {text}.")
    say(f"Searched {found.search_seconds:.0f} s on {found.device}; {figures}")
    if genotype.budget is not None:
        say(budgets.describe(genotype.budget, architecture.stem_channels))
        if genotype.budget.measured > genotype.budget.limit:
            note("warning: the network costs more than the budget.")
    for cell_type in CellType:
        operations = architecture.cells.of(cell_type)
        counts = {operation: operations.count(operation) for operation in dict.fromkeys(operations)}
        say(f"  {cell_type:<10} " + ", ".join(f"{count} x {operation}" for operation, count in counts.items()))
    say(f"Wrote {run.path / 'genotype.json'}. Next: scnas train")
