"""What the folds of a cross-validation have left in their run folders: their scores, and the networks they found."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from scnas_deploy.networks.genotype import CellType, Genotype, Operation, ScnasArchitecture, ScnasCells
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.training.cross_validation import CrossValidation
from scnas_deploy.training.evaluation import Evaluation
from scnas_deploy.training.runs import RUN, RunFolder

_WORDS = {
    Operation.CONV: "convolution",
    Operation.SEPARABLE_2: "separable",
    Operation.SEPARABLE_3: "separable",
    Operation.SEPARABLE_4: "separable",
    Operation.MAX_POOL: "pooling",
    Operation.AVERAGE_POOL: "pooling",
    Operation.IDENTITY: "identity",
    Operation.ZERO: "none",
}


@dataclass(frozen=True, slots=True)
class FoldRun:
    """One fold's evaluated training run."""

    evaluation: Evaluation
    genotype: Genotype


def fold_runs(report: CrossValidation, runs: Path) -> dict[str, FoldRun]:
    """Read the runs of a report, as far as they still lie in a folder of runs.

    Raises:
        FormatError: If one is damaged or of another version.
    """
    found = {}
    for result in report.results:
        run = RunFolder(runs / result.run)
        evaluation = run.evaluation() if (run.path / RUN).is_file() else None
        if evaluation is not None:
            found[result.run] = FoldRun(evaluation, run.genotype())
    return found


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """One fold's network."""

    fold: str
    structure: str
    """The first digits of its structure's hash."""
    like: str
    """The fold of the same structure that comes first; empty where it is this one."""
    size: tuple[str, str, str]
    """Channels of the stem, 10^9 multiply-accumulates of a patch, 10^6 parameters."""
    words: str


def network_rows(report: CrossValidation, runs: Mapping[str, FoldRun]) -> list[NetworkRow]:
    """Return a row a result, and of its network what is known."""
    first: dict[str, str] = {}
    rows = []
    for result in report.results:
        fold = f"Fold {result.fold}, seed {result.seed}"
        like = first.setdefault(result.structure_hash, fold)
        run = runs.get(result.run)
        rows.append(
            NetworkRow(
                fold,
                result.structure_hash[:8],
                "" if like == fold else like,
                ("-", "-", "-") if run is None else _size(run.genotype),
                "-" if run is None else _in_words(run.genotype),
            )
        )
    return rows


def agreement_percent(runs: Mapping[str, FoldRun]) -> float | None:
    """Return on how many edges two of the folds' cells have one operation, on average; None of fewer than two."""
    cells = [
        run.genotype.architecture.cells
        for run in runs.values()
        if isinstance(run.genotype.architecture, ScnasArchitecture)
    ]
    shares = [_share(a, b) for a, b in combinations(cells, 2)]
    return 100 * sum(shares) / len(shares) if shares else None


def _share(a: ScnasCells, b: ScnasCells) -> float:
    same = [one == other for kind in CellType for one, other in zip(a.of(kind), b.of(kind), strict=True)]
    return sum(same) / len(same)


def _size(genotype: Genotype) -> tuple[str, str, str]:
    return (
        str(genotype.architecture.stem_channels),
        "-" if genotype.gmacs is None else f"{genotype.gmacs:.2f}",
        "-" if genotype.num_parameters is None else f"{genotype.num_parameters / 1e6:.2f}",
    )


def _in_words(genotype: Genotype) -> str:
    architecture = genotype.architecture
    if isinstance(architecture, ScnasArchitecture):
        counts = Counter(_WORDS[operation] for kind in CellType for operation in architecture.cells.of(kind))
        return ", ".join(f"{name} {counts[name]}" for name in dict.fromkeys(_WORDS.values()) if counts[name])
    if isinstance(architecture, RonasmisArchitecture):
        strides, dilations = (", ".join(map(str, each)) for each in (architecture.strides, architecture.dilations))
        return f"strides {strides}; dilations {dilations}; {sum(architecture.skips)} skips"
    return architecture.kind
