"""cross-validation.json: the evaluations of several folds, and their mean and spread. Torch-free."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from scnas_deploy.documents import Frozen, to_json
from scnas_deploy.files import write_text
from scnas_deploy.networks.genotype import Provenance
from scnas_deploy.training.evaluation import Scores, mean_of_known
from scnas_deploy.training.ledger import load_ledger
from scnas_deploy.training.runs import RunFolder, RunRecord

CROSS_VALIDATION = "cross-validation.json"

SearchedOn = Literal["own training cases", "another fold's cases", "another dataset", "nothing"]
"""What a fold's genotype was searched on.

'another fold's cases': the search held out another fold, so that it has seen the cases that this fold holds out. The
fold's Dice is then no estimate for new data. 'nothing': the genotype was not searched.
"""


class FoldResult(Frozen):
    """One fold, searched (or not), trained and evaluated."""

    fold: int
    seed: int
    run: str
    """Name of the training run."""
    structure_hash: str
    """SHA-256 of the genotype's structure."""
    searched_on: SearchedOn
    num_cases: int
    """Held-out cases that were scored."""
    dice: Scores
    """Mean over the cases, by label."""
    mean_foreground_dice: float | None
    seconds: float
    """Wall time of search and training, as far as they ran for this fold."""


class FoldFailure(Frozen):
    """One fold that could not be finished."""

    run: str
    """What its runs' names end in, such as 'fold0' or 'fold0-seed1'."""
    command: str
    """What failed."""
    exit_status: int
    message: str
    """Its last words."""


class Spread(Frozen):
    """A score over the folds."""

    mean: float | None
    """None where no fold defines the score."""
    standard_deviation: float | None
    """Of the sample; None of fewer than two folds."""
    num_folds: int

    @classmethod
    def over(cls, values: Sequence[float | None]) -> Self:
        """Summarise one value a fold."""
        known = [value for value in values if value is not None]
        deviation = statistics.stdev(known) if len(known) > 1 else None
        return cls(mean=mean_of_known(known), standard_deviation=deviation, num_folds=len(known))


class CrossValidation(Frozen):
    """cross-validation.json, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    results: tuple[FoldResult, ...]
    failures: tuple[FoldFailure, ...]
    dice: dict[str, Spread]
    """By label, over the folds; of several seeds, a fold has their mean."""
    mean_foreground_dice: Spread

    @classmethod
    def of(cls, results: Sequence[FoldResult], failures: Sequence[FoldFailure] = ()) -> Self:
        """Summarise the folds."""
        labels = list(dict.fromkeys(label for result in results for label in result.dice))
        return cls(
            results=tuple(results),
            failures=tuple(failures),
            dice={
                label: _over_folds([(result.fold, result.dice.get(label)) for result in results]) for label in labels
            },
            mean_foreground_dice=_over_folds([(result.fold, result.mean_foreground_dice) for result in results]),
        )

    def save(self, folder: Path) -> None:
        """Write cross-validation.json."""
        write_text(folder / CROSS_VALIDATION, to_json(self))


def _over_folds(values: Sequence[tuple[int, float | None]]) -> Spread:
    folds = dict.fromkeys(fold for fold, _ in values)
    return Spread.over([mean_of_known([value for other, value in values if other == fold]) for fold in folds])


def fold_result(search: RunFolder | None, train: RunFolder) -> FoldResult:
    """Read what a finished fold has left in its run folders.

    Args:
        search: The fold's own search; None where a given genotype was trained.
        train: The training, evaluated.
    """
    record, genotype, evaluation = train.record(), train.genotype(), train.evaluation()
    assert evaluation is not None
    costs = [load_ledger(run.path) for run in (search, train) if run is not None]
    return FoldResult(
        fold=record.fold,
        seed=record.config["seed"],
        run=train.path.name,
        structure_hash=genotype.architecture.structure_hash,
        searched_on=searched_on(genotype.provenance, record, train.plan().dataset_fingerprint),
        num_cases=len(evaluation.cases),
        dice=evaluation.mean_dice(),
        mean_foreground_dice=evaluation.mean_foreground(),
        seconds=round(sum(cost.seconds for cost in costs if cost is not None), 1),
    )


def searched_on(source: Provenance, record: RunRecord, dataset_fingerprint: str) -> SearchedOn:
    """Say on what the genotype of a training was searched, as seen from the fold that the training holds out."""
    if source.fold is None:
        return "nothing"
    if source.dataset_fingerprint != dataset_fingerprint:
        return "another dataset"
    return "own training cases" if source.fold == record.fold else "another fold's cases"
