"""scnas search: find a genotype."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import budgets, options, processes
from scnas_deploy.cli.console import note, say, say_facts, say_json
from scnas_deploy.cli.gap import gap_in_words
from scnas_deploy.cli.search_request import Betas, Sampling, SearchRequest, TauSchedule
from scnas_deploy.cli.started_run import StartedRun, begin, config_of, take_up

if TYPE_CHECKING:
    from scnas_deploy.networks.genotype import Genotype, ScnasArchitecture
    from scnas_deploy.search.config import SearchConfig
    from scnas_deploy.search.ronasmis_config import RonasmisConfig
    from scnas_deploy.training.runs import RunFolder


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
    budget = budgets.BudgetOptions(budget_gmacs, budget_bytes, budget_ms, costs, stem_channels)
    request = SearchRequest(
        space, preset, fold, seed, epochs, steps_per_epoch, sampling, betas, tau, checkpointing or None, budget
    )
    with processes.joined() as world:
        begin(request, run, project, settings, resume=resume, world=world)
        genotype = _search(take_up(run, project, dataset, world), resume=resume)
        if json:
            say_json(genotype.model_dump(mode="json", by_alias=True))
        else:
            _print(genotype, run)


def _search(started: StartedRun, *, resume: bool) -> "Genotype":
    from scnas_deploy.search.run import search as run_search
    from scnas_deploy.training.trainer import TrainingConfig

    config = config_of(started.record)
    assert not isinstance(config, TrainingConfig)
    _announce(config)
    with started.watched() as report:
        return run_search(
            config,
            started.plan,
            started.training,
            started.run.path,
            fold=started.record.fold,
            resume=resume,
            held_out=started.held_out,
            progress=report,
            world=started.world,
            costs=budgets.load_run_costs(started.run.path),
        )


def _announce(config: "SearchConfig | RonasmisConfig") -> None:
    from scnas_deploy.networks.genotype import Operation
    from scnas_deploy.search.config import SearchConfig

    note(f"Searching with a stem of {config.stem_channels} channels.")
    if not isinstance(config, SearchConfig):
        return
    if config.budget is not None:
        note(f"Budget {config.budget} a patch, for a network of {config.budget.stem_channels} channels.")
    if len(config.operations) < len(Operation):
        names = ", ".join(config.operations)
        note(f"The preset restricts the search to {len(config.operations)} of 8 operations: {names}.")
    if config.warmup:
        note(
            f"The first {config.warmup:.0%} of the steps warm up the weights alone and take half as long as later ones."
        )


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
        say_facts(_cells_in_words(architecture), indent=2)
        following = "scnas train"
    else:
        say("  " + ", ".join(f"{name} {value}" for name, value in architecture.model_dump(mode="json").items()))
        say(f"  peak memory {(found.peak_bytes or 0) / 1e9:.1f} GB (the paper's card has 10.8 GB)")
        say("The network is trained already, by the weights its children shared.")
        following = f"scnas evaluate --name {run.path.name}, or scnas train to train it anew"
    say(f"Wrote {run.path / 'genotype.json'}.")
    say(f"Next: {following}")


def _cells_in_words(architecture: "ScnasArchitecture") -> dict[str, str]:
    from scnas_deploy.networks.genotype import CellType

    found = {}
    for cell_type in CellType:
        counts = Counter(architecture.cells.of(cell_type))
        found[str(cell_type)] = ", ".join(f"{count} x {operation}" for operation, count in counts.items())
    return found
