"""What a cross-validation has to do for a fold, as commands of scnas, read off the run folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scnas_deploy.errors import ConfigError
from scnas_deploy.networks.genotype import load_genotype
from scnas_deploy.training.cross_validation import FoldResult, fold_result
from scnas_deploy.training.run import WEIGHTS
from scnas_deploy.training.runs import EVALUATION, GENOTYPE, RUN, RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """Settings that searches and trainings take over; None leaves the preset's."""

    preset: str | None = None
    space: str | None = None
    """Of the search alone."""
    num_epochs: int | None = None
    steps_per_epoch: int | None = None

    def options(self) -> list[str]:
        """Options for any run that begins."""
        named = {"--preset": self.preset, "--epochs": self.num_epochs, "--steps-per-epoch": self.steps_per_epoch}
        return [part for name, value in named.items() if value is not None for part in (name, str(value))]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldJob:
    """One fold with one seed: search, training and evaluation, one after the other."""

    project: Path
    """Absolute."""
    fold: int
    seed: int | None
    """None: the project's."""
    name: str
    """What its runs' names end in."""
    genotype: Path | None
    """Absolute; None: search one."""
    settings: RunSettings

    @property
    def search(self) -> RunFolder | None:
        """The search's run folder; None where a genotype is given."""
        return None if self.genotype else RunFolder(self.project / "runs" / f"search-{self.name}")

    @property
    def train(self) -> RunFolder:
        """The training's run folder."""
        return RunFolder(self.project / "runs" / f"train-{self.name}")

    @property
    def source(self) -> Path:
        """The genotype.json to train."""
        return self.genotype or self.project / "runs" / f"search-{self.name}" / GENOTYPE

    def next_command(self) -> list[str] | None:
        """Arguments of scnas for what is to be done next, a begun run resumed; None where all is done."""
        if not self.source.is_file():
            return self._run("search", self.project / "runs" / f"search-{self.name}")
        if not (self.train.path / WEIGHTS).is_file():
            return self._run("train", self.train.path, "--genotype", str(self.source))
        if not (self.train.path / EVALUATION).is_file():
            return ["evaluate", "--project", str(self.project), "--name", self.train.path.name]
        return None

    def _run(self, kind: str, folder: Path, *more: str) -> list[str]:
        place = [kind, "--project", str(self.project), "--name", folder.name]
        if (folder / RUN).is_file():
            return [*place, "--resume"]
        seed = [] if self.seed is None else ["--seed", str(self.seed)]
        space = ["--space", self.settings.space] if kind == "search" and self.settings.space is not None else []
        return [*place, "--fold", str(self.fold), *seed, *space, *more, *self.settings.options()]

    def check(self) -> None:
        """Refuse to go on with runs of other settings or another genotype.

        Raises:
            ConfigError: If a run of this name was begun otherwise.
        """
        begun = [run for run in (self.search, self.train) if run is not None and (run.path / RUN).is_file()]
        for run in begun:
            record = run.record()
            found = {"fold": record.fold, "preset": record.preset, **record.config}
            self._compare(run, {name: found[name] for name in self._wanted()}, self._wanted())
        if (self.train.path / RUN).is_file():
            wanted = (
                load_genotype(self.source).architecture.structure_hash if self.source.is_file() else "not searched yet"
            )
            found_hash = self.train.genotype().architecture.structure_hash
            self._compare(self.train, {"genotype": found_hash}, {"genotype": wanted})

    def result(self) -> FoldResult:
        """Read the finished fold."""
        return fold_result(self.search, self.train)

    def _wanted(self) -> dict[str, Any]:
        settings = self.settings
        wanted = {
            "fold": self.fold,
            "seed": self.seed,
            "preset": None if settings.preset == "auto" else settings.preset,
            "num_epochs": settings.num_epochs,
            "steps_per_epoch": settings.steps_per_epoch,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    @staticmethod
    def _compare(run: RunFolder, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        for name, value in wanted.items():
            if found[name] != value:
                raise ConfigError(
                    f"runs/{run.path.name}",
                    expected=f"a run with {name} {value}",
                    found=f"one with {name} {found[name]}",
                    remedy="Ask for the same settings, move that run away, or cross-validate in another project",
                )
