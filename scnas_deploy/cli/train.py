"""scnas train: build a genotype's network and train it from scratch."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options, processes
from scnas_deploy.cli.console import note, say
from scnas_deploy.cli.gap import gap_in_words
from scnas_deploy.cli.started_run import NewRun, StartedRun, begin, config_of, take_up

if TYPE_CHECKING:
    from scnas_deploy.data.plan import Plan
    from scnas_deploy.networks.genotype import Genotype
    from scnas_deploy.project import Project


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
    request = TrainRequest(genotype, preset, fold, seed, stem_channels, target_gmacs, epochs, steps_per_epoch)
    with processes.joined() as world:
        begin(request, run, project, settings, resume=resume, world=world)
        _train(take_up(run, project, dataset, world), resume=resume)


def _train(started: StartedRun, *, resume: bool) -> None:
    from scnas_deploy.training.gap import load_gap
    from scnas_deploy.training.run import train as run_train
    from scnas_deploy.training.trainer import TrainingConfig

    config, found, folder = config_of(started.record), started.run.genotype(), started.run.path
    assert isinstance(config, TrainingConfig)
    cases = (started.training, started.held_out)
    with started.watched() as report:
        run_train(config, found, started.plan, *cases, folder, resume=resume, progress=report, world=started.world)
    say(f"Trained {found.num_parameters:,} parameters, {found.gmacs:.2f} GMAC a patch; weights in {folder}.")
    gap = load_gap(folder)
    say(gap_in_words(gap.supernet, gap.derived, gap.retrained))
    say("Next: scnas evaluate, then scnas export")


@dataclasses.dataclass(frozen=True, slots=True)
class TrainRequest:
    """The options; None leaves a setting to the project or the preset."""

    genotype: Path | None
    preset: str | None
    fold: int | None
    seed: int | None
    stem_channels: int | None
    target_gmacs: float | None
    epochs: int | None
    steps_per_epoch: int | None

    def given(self) -> dict[str, object]:
        """Options by name, None where one was left out."""
        return dataclasses.asdict(self)

    def resolve(self, project: Path, settings: "Project") -> NewRun:
        """Fill in what was left out, from the project, the preset and the genotype.

        Raises:
            ConfigError: If the preset is unknown, or the genotype does not go with the plan.
            FormatError: If plan.json or genotype.json cannot be read.
        """
        from scnas_deploy.data.plan import load_plan
        from scnas_deploy.networks.genotype import load_genotype
        from scnas_deploy.training.runs import RunRecord, dump_config
        from scnas_deploy.training.trainer import PRESETS

        preset = options.pick_preset(self.preset, settings.train.preset)
        fold = settings.train.fold if self.fold is None else self.fold
        plan = load_plan(project / "plan.json")
        found = load_genotype(self.genotype or project / "runs" / "search" / "genotype.json")
        _note_origin(found, plan.dataset_fingerprint, fold)
        found = self._at_width(found, PRESETS[preset].stem_channels, plan)
        config = dataclasses.replace(
            PRESETS[preset],
            stem_channels=found.architecture.stem_channels,
            seed=settings.train.seed if self.seed is None else self.seed,
            num_epochs=self.epochs or PRESETS[preset].num_epochs,
            steps_per_epoch=self.steps_per_epoch or PRESETS[preset].steps_per_epoch,
        )
        return NewRun(RunRecord(kind="train", fold=fold, preset=preset, config=dump_config(config)), plan, found)

    def _at_width(self, found: "Genotype", of_preset: int, plan: "Plan") -> "Genotype":
        """A genotype found at the width of its use, for a budget or by RONASMIS, keeps it unless told otherwise."""
        from scnas_deploy.training.run import at_cost, at_width

        if self.target_gmacs is not None:
            return at_cost(found, self.target_gmacs, plan)
        keeps = found.budget is not None or found.architecture.kind == "ronasmis"
        width = found.architecture.stem_channels if keeps else of_preset
        return at_width(found, self.stem_channels or width, plan)


def _note_origin(genotype: "Genotype", dataset_fingerprint: str, fold: int) -> None:
    """Say openly where the held-out cases are not new to the architecture."""
    source = genotype.provenance
    if source.dataset_fingerprint not in (None, dataset_fingerprint):
        note("The genotype was found on another dataset; this is a transfer.")
    elif source.fold not in (None, fold):
        note(f"The search held out fold {source.fold}: it has seen the cases held out here.")
