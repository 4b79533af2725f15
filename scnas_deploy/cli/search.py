"""scnas search: find a genotype."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scnas_deploy.cli import budgets, options, processes
from scnas_deploy.cli.console import note, say, say_json
from scnas_deploy.cli.gap import gap_in_words
from scnas_deploy.cli.watching import watched

if TYPE_CHECKING:
    from scnas_deploy.networks.genotype import Genotype, ScnasArchitecture
    from scnas_deploy.search.config import SearchConfig
    from scnas_deploy.search.ronasmis_config import RonasmisConfig
    from scnas_deploy.training.runs import RunFolder, RunRecord


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
    space: options.SpaceOption = None,
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
    checkpointing: options.CheckpointingOption = False,
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
    from scnas_deploy.search.config import BETAS
    from scnas_deploy.search.run import search as run_search
    from scnas_deploy.training.folds import fold_split
    from scnas_deploy.training.prepared import PreparedCases

    overrides = {"num_epochs": epochs, "steps_per_epoch": steps_per_epoch}
    of_scnas = {
        "sampling": None if sampling is None else sampling.value,
        "weight_betas": None if betas is None else BETAS[betas],
        "tau_schedule": None if tau is None else tau.value,
        "checkpointing": checkpointing or None,
    }
    budget = budgets.BudgetOptions(budget_gmacs, budget_bytes, budget_ms, costs, stem_channels)

    def start() -> None:
        if resume:
            options.refuse_with_resume(
                space=space, preset=preset, fold=fold, seed=seed, **overrides, **of_scnas, **budget.given()
            )
            world.check_batch(_config_of(run.record()).batch_size)
            return
        chosen = options.pick_preset(preset, settings.search.preset)
        searched = space or options.Space.SCNAS
        if searched is options.Space.RONASMIS:
            of_papers = {"sampling": sampling, "betas": betas, "tau": tau, "checkpointing": checkpointing or None}
            _refuse_beside_ronasmis(**of_papers, **budget.given())
        overrides["seed"] = settings.search.seed if seed is None else seed
        config = _config(searched, chosen, {**overrides, **of_scnas})
        world.check_batch(config.batch_size)
        _start(run, project, searched, chosen, settings.search.fold if fold is None else fold, config, budget)

    with processes.joined() as world:
        processes.on_main(world, start)
        record, plan = run.record(), run.plan()
        config = _config_of(record)
        _announce(config, record.preset, record.fold)
        cases = PreparedCases(dataset, plan, project / ".scnas" / "cache")
        split = fold_split([case.id for case in dataset.cases], record.fold)
        training, held_out = processes.load_split(cases, split, world)
        with (
            options.resumable(f"scnas search --resume --name {name}", gpus),
            watched("Searching", run, world) as report,
        ):
            genotype = run_search(
                config,
                plan,
                training,
                run.path,
                fold=record.fold,
                resume=resume,
                held_out=held_out,
                progress=report,
                world=world,
                costs=budgets.load_run_costs(run.path),
            )
        if json:
            say_json(genotype.model_dump(mode="json", by_alias=True))
        else:
            _print(genotype, run)


def _refuse_beside_ronasmis(**given: object) -> None:
    """The readings of the SCNAS paper and the budgets mean nothing to the other search."""
    from scnas_deploy.errors import ConfigError

    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if names:
        raise ConfigError(
            "--space ronasmis",
            expected="no settings of the SCNAS search beside it",
            found=", ".join(names),
            remedy="Leave them out",
        )


def _config(space: options.Space, preset: str, overrides: dict[str, Any]) -> "SearchConfig | RonasmisConfig":
    from scnas_deploy.search.config import PRESETS
    from scnas_deploy.search.ronasmis_config import RONASMIS_PRESETS

    given = {name: value for name, value in overrides.items() if value is not None}
    presets: dict[str, Any] = PRESETS if space is options.Space.SCNAS else RONASMIS_PRESETS
    config: SearchConfig | RonasmisConfig = dataclasses.replace(presets[preset], **given)
    return config


def _config_of(record: "RunRecord") -> "SearchConfig | RonasmisConfig":
    from scnas_deploy.search.config import SearchConfig
    from scnas_deploy.search.ronasmis_config import RonasmisConfig
    from scnas_deploy.training.runs import load_config

    if record.space == "ronasmis":
        return load_config(RonasmisConfig, record)
    return load_config(SearchConfig, record)


def _start(
    run: "RunFolder",
    project: Path,
    space: options.Space,
    preset: str,
    fold: int,
    config: "SearchConfig | RonasmisConfig",
    budget: budgets.BudgetOptions,
) -> None:
    from scnas_deploy.data.plan import load_plan
    from scnas_deploy.search.ronasmis_config import RonasmisConfig
    from scnas_deploy.training.runs import RunRecord, dump_config

    plan = load_plan(project / "plan.json")
    costs = None
    if not isinstance(config, RonasmisConfig):
        limit, costs = budget.resolve(config.operations, plan)
        config = dataclasses.replace(config, budget=limit)
    record = RunRecord(kind="search", space=space.value, fold=fold, preset=preset, config=dump_config(config))
    run.create(record, plan)
    if costs is not None:
        costs.save(run.path / budgets.COSTS)


def _announce(config: "SearchConfig | RonasmisConfig", preset: str, fold: int) -> None:
    from scnas_deploy.networks.genotype import Operation
    from scnas_deploy.search.config import SearchConfig

    note(f"Preset '{preset}', fold {fold} held out, stem {config.stem_channels} channels.")
    if not isinstance(config, SearchConfig):
        return
    if config.budget is not None:
        note(f"Budget {config.budget} a patch, for a network of {config.budget.stem_channels} channels.")
    if len(config.operations) < len(Operation):
        names = ", ".join(config.operations)
        note(f"The preset restricts the search to {len(config.operations)} of 8 operations: {names}.")


def _print(genotype: "Genotype", run: "RunFolder") -> None:
    from scnas_deploy.networks.genotype import ScnasArchitecture

    found, architecture = genotype.provenance, genotype.architecture
    figures = f"{genotype.gmacs:.2f} GMAC a patch, entropy {found.final_entropy:.2f}"
    for text in found.warnings:
        note(f"warning: {text}.")
    say(f"Searched {found.search_seconds:.0f} s on {found.device}; {figures}")
    say(gap_in_words(found.supernet_dice, found.derived_dice))
    if genotype.budget is not None:
        say(budgets.describe(genotype.budget, architecture.stem_channels))
        if genotype.budget.measured > genotype.budget.limit:
            note("warning: the network costs more than the budget.")
    if isinstance(architecture, ScnasArchitecture):
        _print_cells(architecture)
        following = "scnas train"
    else:
        say("  " + ", ".join(f"{name} {value}" for name, value in architecture.model_dump(mode="json").items()))
        say(f"  peak memory {(found.peak_bytes or 0) / 1e9:.1f} GB (the paper's card has 10.8 GB)")
        say("The network is trained already, by the weights its children shared.")
        following = f"scnas evaluate --name {run.path.name}, or scnas train to train it anew"
    say(f"Wrote {run.path / 'genotype.json'}. Next: {following}")


def _print_cells(architecture: "ScnasArchitecture") -> None:
    from scnas_deploy.networks.genotype import CellType

    for cell_type in CellType:
        operations = architecture.cells.of(cell_type)
        counts = {operation: operations.count(operation) for operation in dict.fromkeys(operations)}
        say(f"  {cell_type:<10} " + ", ".join(f"{count} x {operation}" for operation, count in counts.items()))
