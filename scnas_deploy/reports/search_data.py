"""What a search's run folder tells, collected for its page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scnas_deploy.errors import ScnasError
from scnas_deploy.networks.genotype import Genotype, Operation
from scnas_deploy.reports.training_run import Condition, RunProgress, progress_of
from scnas_deploy.training.gap import GAP, load_gap
from scnas_deploy.training.runs import EVALUATION, GENOTYPE, RUN, RunFolder


@dataclass(frozen=True, slots=True)
class Retrained:
    """A training of what the search found."""

    run: str
    """Its name; its folder lies beside the search's."""
    dice: float | None
    """Mean foreground, on the patches of held-out cases that the search measured itself on; None where it was not."""
    evaluated: bool
    """Whether its folder has an evaluation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchState:
    """A search at a moment."""

    progress: RunProgress
    genotype: Genotype | None
    """What was found; None before the end."""
    trainings: tuple[Retrained, ...]

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What an edge chooses from; empty of a search of another space."""
        return tuple(Operation(name) for name in self.progress.record.config.get("operations", ()))

    @property
    def budget(self) -> dict[str, Any] | None:
        """The budget as the settings have it: ``kind``, ``limit`` and ``stem_channels``."""
        return self.progress.record.config.get("budget")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with what was found or, before the end, with the architecture as it stands."""
        if self.genotype is not None:
            return self.genotype.provenance.warnings
        return tuple(self.progress.epochs[-1].get("warnings", ())) if self.progress.epochs else ()


def search_state(run: RunFolder, now: float) -> SearchState:
    """Read a search and the trainings beside it.

    Args:
        run: Its folder.
        now: Seconds since 1970.

    Raises:
        DataError: If the folder holds no run.
        FormatError: If a file of the search is damaged or not this version's.
    """
    progress = progress_of(run, now)
    genotype = run.genotype() if progress.condition is Condition.FINISHED else None
    trainings = () if genotype is None else tuple(_trainings(run, genotype))
    return SearchState(progress=progress, genotype=genotype, trainings=trainings)


def _trainings(run: RunFolder, found: Genotype) -> Iterator[Retrained]:
    """Those of the runs beside it whose genotype comes from this search and has the structure it found."""
    for path in sorted(run.path.resolve().parent.glob(f"*/{RUN}")):
        other = RunFolder(path.parent)
        try:
            if other.record().kind != "train" or not (other.path / GENOTYPE).is_file():
                continue
            genotype = other.genotype()
            dice = load_gap(other.path).retrained if (other.path / GAP).is_file() else None
        except ScnasError:  # another run's damage is not this one's
            continue
        same = genotype.architecture.structure_hash == found.architecture.structure_hash
        if same and genotype.provenance == found.provenance:
            yield Retrained(other.path.name, dice, (other.path / EVALUATION).is_file())
