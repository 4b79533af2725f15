"""scnas train: build a genotype's network and train it from scratch."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options, processes
from scnas_deploy.cli.console import note, say
from scnas_deploy.cli.gap import gap_in_words
from scnas_deploy.cli.watching import watched

if TYPE_CHECKING:
    from scnas_deploy.networks.genotype import Genotype
    from scnas_deploy.training.runs import RunFolder
    from scnas_deploy.training.trainer import TrainingConfig


def train(
    project: options.ProjectOption = Path(),
    genotype: Annotated[
        Path | None, typer.Option("--genotype", help="genotype.json; left out, that of runs/search.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the run, a folder in runs/.")] = "train",
    preset: options.PresetOption = None,
    fold: options.FoldOption = None,
    seed: options.SeedOption = None,
    stem_channels: Annotated[
        int | None, typer.Option("--stem-channels", min=4, help="Width of the network, a multiple of 4.")
    ] = None,
    target_gmacs: Annotated[
        float | None,
        typer.Option("--target-gmacs", min=0.001, help="Choose the width nearest to this cost of a patch instead."),
    ] = None,
    epochs: options.EpochsOption = None,
    steps_per_epoch: options.StepsOption = None,
    resume: options.ResumeOption = False,
    gpus: options.GpusOption = 1,
) -> None:
    """Train a genotype's network from scratch on the training cases of one fold."""
    options.require_training()
    settings, dataset = options.open_project(project)
    run = options.run_folder(project, name)
    processes.spread(gpus)
    from scnas_deploy.training.folds import fold_split
    from scnas_deploy.training.gap import load_gap
    from scnas_deploy.training.prepared import PreparedCases
    from scnas_deploy.training.run import train as run_train
    from scnas_deploy.training.runs import load_config
    from scnas_deploy.training.trainer import TrainingConfig

    overrides = {"seed": seed, "stem_channels": stem_channels, "num_epochs": epochs, "steps_per_epoch": steps_per_epoch}

    def start() -> None:
        if resume:
            options.refuse_with_resume(
                genotype=genotype, preset=preset, fold=fold, target_gmacs=target_gmacs, **overrides
            )
            world.check_batch(load_config(TrainingConfig, run.record()).batch_size)
            return
        overrides["seed"] = settings.train.seed if seed is None else seed
        chosen = options.pick_preset(preset, settings.train.preset)
        config = _config(chosen, overrides)
        world.check_batch(config.batch_size)
        held_out = settings.train.fold if fold is None else fold
        _start(run, project, genotype, chosen, held_out, config, target_gmacs, stem_channels is not None)

    with processes.joined() as world:
        processes.on_main(world, start)
        record, plan, found = run.record(), run.plan(), run.genotype()
        config = load_config(TrainingConfig, record)
        split = fold_split([case.id for case in dataset.cases], record.fold)
        sizes = f"{len(split.training)} cases to train, {len(split.validation)} held out"
        note(f"Preset '{record.preset}', fold {record.fold}: {sizes}.")
        cases = PreparedCases(dataset, plan, project / ".scnas" / "cache")
        training, validation = processes.load_split(cases, split, world)
        with options.resumable(f"scnas train --resume --name {name}", gpus), watched("Training", run, world) as report:
            run_train(config, found, plan, training, validation, run.path, resume=resume, progress=report, world=world)
        say(f"Trained {found.num_parameters:,} parameters, {found.gmacs:.2f} GMAC a patch; weights in {run.path}.")
        gap = load_gap(run.path)
        say(gap_in_words(gap.supernet, gap.derived, gap.retrained))
        say("Next: scnas evaluate, then scnas export")


def _config(preset: str, overrides: dict[str, int | None]) -> "TrainingConfig":
    from scnas_deploy.training.trainer import PRESETS

    given = {name: value for name, value in overrides.items() if value is not None}
    return dataclasses.replace(PRESETS[preset], **given)  # type: ignore[arg-type]


def _start(
    run: "RunFolder",
    project: Path,
    genotype: Path | None,
    preset: str,
    fold: int,
    config: "TrainingConfig",
    target_gmacs: float | None,
    width_given: bool,
) -> None:
    """Begin the run. A genotype found for a budget keeps its width unless another one is asked for."""
    from scnas_deploy.data.plan import load_plan
    from scnas_deploy.networks.genotype import load_genotype
    from scnas_deploy.training.run import at_cost, at_width
    from scnas_deploy.training.runs import RunRecord, dump_config

    plan = load_plan(project / "plan.json")
    found = load_genotype(genotype or project / "runs" / "search" / "genotype.json")
    _note_origin(found, plan.dataset_fingerprint, fold)
    if target_gmacs is not None:
        found = at_cost(found, target_gmacs, plan)
    elif found.budget is None or width_given:
        found = at_width(found, config.stem_channels, plan)
    config = dataclasses.replace(config, stem_channels=found.architecture.stem_channels)
    run.create(RunRecord(kind="train", fold=fold, preset=preset, config=dump_config(config)), plan, found)


def _note_origin(genotype: "Genotype", dataset_fingerprint: str, fold: int) -> None:
    """Say openly where the held-out cases are not new to the architecture."""
    source = genotype.provenance
    if source.dataset_fingerprint not in (None, dataset_fingerprint):
        note("The genotype was found on another dataset; this is a transfer.")
    elif source.fold not in (None, fold):
        note(f"The search held out fold {source.fold}: it has seen the cases held out here.")
