"""A run of several sittings: beginning it or taking it up again, its cases, and what is said while it works."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scnas_deploy.cli import budgets, options, processes
from scnas_deploy.cli.console import Report, note
from scnas_deploy.cli.watching import watched

if TYPE_CHECKING:
    from scnas_deploy.data.dataset import Dataset
    from scnas_deploy.data.plan import Plan
    from scnas_deploy.networks.costs import Costs
    from scnas_deploy.networks.genotype import Genotype
    from scnas_deploy.project import Project
    from scnas_deploy.search.config import SearchConfig
    from scnas_deploy.search.ronasmis_config import RonasmisConfig
    from scnas_deploy.training.distributed import World
    from scnas_deploy.training.prepared import PreparedCase
    from scnas_deploy.training.runs import RunFolder, RunRecord
    from scnas_deploy.training.trainer import TrainingConfig

    Config = SearchConfig | RonasmisConfig | TrainingConfig

_TITLES = {"search": "Searching", "train": "Training"}


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a run begins with."""

    record: "RunRecord"
    plan: "Plan"
    genotype: "Genotype | None" = None
    """Of a training."""
    costs: "Costs | None" = None
    """Of a search for a number of milliseconds."""

    def create(self, run: "RunFolder") -> None:
        """Write it into the run's folder."""
        run.create(self.record, self.plan, self.genotype)
        if self.costs is not None:
            self.costs.save(run.path / budgets.COSTS)


class Request(Protocol):
    """The options of a command that begins a run."""

    def given(self) -> dict[str, object]:
        """Options by name, None where one was left out."""
        ...

    def resolve(self, project: Path, settings: "Project") -> NewRun:
        """Fill in what was left out, from the project and the preset."""
        ...


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that has begun, with its cases in memory."""

    run: "RunFolder"
    record: "RunRecord"
    plan: "Plan"
    training: list["PreparedCase"]
    held_out: list["PreparedCase"]
    world: "World"

    @contextmanager
    def watched(self) -> Iterator[Report]:
        """Show progress, record the costs and, when interrupted, tell how to go on; the run is saved by then."""
        try:
            with watched(_TITLES[self.record.kind], self.run, self.world) as report:
                yield report
        except KeyboardInterrupt:
            several = f" --gpus {self.world.world_size}" if self.world.world_size > 1 else ""
            command = f"scnas {self.record.kind} --resume --name {self.run.path.name}{several}"
            note(f"Stopped and saved. Go on with: {command}")
            raise


def begin(
    request: Request, run: "RunFolder", project: Path, settings: "Project", *, resume: bool, world: "World"
) -> None:
    """Begin the run in the main process, or see that it can go on; a refused one has not begun.

    Raises:
        ScnasError: As the request refuses; as ConfigError, for settings beside --resume and for a batch that the
            processes cannot share.
    """

    def on_main() -> None:
        if resume:
            options.refuse_with_resume(**request.given())
            world.check_batch(config_of(run.record()).batch_size)
            return
        new = request.resolve(project, settings)
        world.check_batch(config_of(new.record).batch_size)
        new.create(run)

    processes.on_main(world, on_main)


def take_up(run: "RunFolder", project: Path, dataset: "Dataset", world: "World") -> StartedRun:
    """Load the cases of a run that has begun, and say what it works on."""
    from scnas_deploy.training.folds import fold_split
    from scnas_deploy.training.prepared import PreparedCases

    record, plan = run.record(), run.plan()
    split = fold_split([case.id for case in dataset.cases], record.fold)
    sizes = f"{len(split.training)} training cases, {len(split.validation)} held out"
    note(f"Preset '{record.preset}', fold {record.fold}: {sizes}.")
    cases = PreparedCases(dataset, plan, project / ".scnas" / "cache")
    training, held_out = processes.load_split(cases, split, world)
    return StartedRun(run, record, plan, training, held_out, world)


def config_of(record: "RunRecord") -> "Config":
    """The settings a run was started with.

    Raises:
        FormatError: If they are not this version's.
    """
    from scnas_deploy.training.runs import load_config

    if record.kind == "train":
        from scnas_deploy.training.trainer import TrainingConfig

        return load_config(TrainingConfig, record)
    if record.space == "ronasmis":
        from scnas_deploy.search.ronasmis_config import RonasmisConfig

        return load_config(RonasmisConfig, record)
    from scnas_deploy.search.config import SearchConfig

    return load_config(SearchConfig, record)
