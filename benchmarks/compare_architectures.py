"""Is what the search found better than what nobody searched? Trained for the same seconds, at the same measured cost.

Compares: genotypes that searches of one space have found (one search, or several that differ in their seed), random
genotypes of that space, the paper's 3D U-ResNet and nnU-Net's PlainConvUNet, each as wide as a measured time a patch on
OpenVINO allows, each trained by the same trainer for the same seconds of a core of this machine, each evaluated on the
held-out cases of fold 0. Differences from the mean of the found ones carry 95 % paired bootstrap intervals over the
cases; of several genotypes or seeds, a case's scores are averaged first, and each seed's mean is printed. Cases are not
what limits the answer: how far the genotypes of the space lie apart, and two trainings of one of them, is printed as
standard deviations, with the error of found minus random that follows from the number of genotypes.

Does not prove: what longer training would give; anything of other datasets. Widths are multiples of four, so that
costs differ; they are printed. The found genotype has cost a search on the training cases of fold 0, the others have
not.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from benchmarks.timed_training import Job, Outcome, one_process_a_core, outcome_of, plan_of
from scnas_deploy.data.dataset import Dataset, read_dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.files import write_text
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.latency import latencies_ms, noise_patch
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.genotype import (
    Architecture,
    CellType,
    Genotype,
    Operation,
    PlainConvUNetArchitecture,
    ScnasArchitecture,
    UResNetArchitecture,
    load_genotype,
    whole_multiple,
)
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.search.random import random_architecture, random_child
from scnas_deploy.search.ronasmis_space import RonasmisSpace
from scnas_deploy.training.comparison import Difference, compare
from scnas_deploy.training.evaluation import Evaluation, mean_of_known
from scnas_deploy.training.prepared import PreparedCases
from scnas_deploy.training.run import build_network

FOUND, RANDOM = "found", "random"
WIDTHS = range(8, 129, 4)
FILLED = 16
"""Width from which a wider network takes longer, all in all: below, vector lanes stay empty."""
NEAR, FAR = 1.1, 1.5
"""Of the target's milliseconds: what still counts as equal, and from where on no wider network is tried."""


class Fit(Frozen):
    """The width at which an architecture comes nearest to the target, schema 1: a later call has to train the same."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    stem_channels: int
    milliseconds: float


@dataclass(frozen=True)
class Candidate:
    """One architecture at that width."""

    name: str
    architecture: Architecture
    milliseconds: float


def main() -> None:
    arguments = parse()
    dataset = read_dataset(arguments.data)
    plan = plan_of(dataset)
    with tempfile.TemporaryDirectory() as temporary:
        results = arguments.results or Path(temporary)
        results.mkdir(parents=True, exist_ok=True)
        candidates = fitted([load_genotype(path) for path in arguments.genotypes], plan, results, arguments)
        outcomes = train_all(candidates, dataset, plan, results, arguments)
    report(candidates, outcomes, arguments, plan)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("SCNAS_DATA")
    default = Path(data) / "Task04_Hippocampus" if data else None
    parser.add_argument("genotypes", type=Path, nargs="+", help="genotype.json of searches on fold 0, of one space")
    parser.add_argument("--data", type=Path, default=default, required=default is None, help="dataset folder")
    parser.add_argument("--milliseconds", type=float, default=120.0, help="cost of a patch to come near to")
    parser.add_argument("--seconds", type=float, default=900.0, help="training of each, on one core")
    parser.add_argument("--random", type=int, default=3, help="random genotypes")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each")
    parser.add_argument("--results", type=Path, help="folder that keeps each training's scores, for a later call")
    return parser.parse_args()


def fitted(found: Sequence[Genotype], plan: Plan, results: Path, arguments: argparse.Namespace) -> list[Candidate]:
    """Everything that is compared, at the width that was measured, now or in an earlier call."""
    candidates = []
    for name, architecture in architectures(found, arguments.random, plan):
        kept = results / f"{architecture.structure_hash[:12]}-{arguments.milliseconds:g}ms.json"
        if not kept.is_file():
            write_text(kept, to_json(at_milliseconds(architecture, arguments.milliseconds, plan)))
        fit = read_document(kept, Fit, made_by="this benchmark")
        candidates.append(Candidate(name, architecture.with_stem(fit.stem_channels), fit.milliseconds))
        print(f"{name}: {fit.stem_channels} channels, {fit.milliseconds:.1f} ms", flush=True)
    return candidates


def architectures(found: Sequence[Genotype], num_random: int, plan: Plan) -> Iterator[tuple[str, Architecture]]:
    for number, genotype in enumerate(found):
        yield f"{FOUND} {number}", genotype.architecture
    for seed in range(num_random):
        yield f"{RANDOM} {seed}", random_of_same_space(seed, found[0], plan)
    yield "U-ResNet", UResNetArchitecture()
    yield "PlainConvUNet", PlainConvUNetArchitecture()


def random_of_same_space(seed: int, found: Genotype, plan: Plan) -> Architecture:
    if isinstance(found.architecture, RonasmisArchitecture):
        return random_child(seed, RonasmisSpace(plan.patch_size, found.architecture.stem_channels))
    searched = found.provenance.settings.get("operations", list(Operation))
    assert isinstance(searched, list)
    return random_architecture(seed, FILLED, tuple(Operation(name) for name in searched))


def milliseconds_of(architecture: Architecture, plan: Plan) -> float:
    """Milliseconds of one patch on OpenVINO with one thread, as the training has one core."""
    network = build_network(architecture, plan).eval()
    model = export_onnx(network, len(plan.channels), plan.patch_size, whole_multiple(architecture))
    engine = OpenVinoEngine(model, num_threads=1)
    (milliseconds,) = latencies_ms([(engine, noise_patch(len(plan.channels), plan.patch_size))], repeats=15)
    return milliseconds


def at_milliseconds(architecture: Architecture, target: float, plan: Plan) -> Fit:
    """The widest network that takes at most a tenth more than the target, or else the fastest.

    Time does not rise with every step of the width: an engine has fast kernels for some numbers of channels only.
    """
    measured: dict[int, float] = {}
    for width in WIDTHS:
        measured[width] = milliseconds_of(architecture.with_stem(width), plan)
        if measured[width] > FAR * target and width > FILLED:
            break
    width = max((width for width, each in measured.items() if each <= NEAR * target), default=None)
    width = width or min(measured, key=measured.__getitem__)
    return Fit(stem_channels=width, milliseconds=measured[width])


def train_all(
    candidates: Sequence[Candidate], dataset: Dataset, plan: Plan, results: Path, arguments: argparse.Namespace
) -> dict[str, list[Outcome]]:
    """Outcomes of each candidate, one a seed."""
    with tempfile.TemporaryDirectory() as folder, one_process_a_core() as pool:
        cache = Path(folder)
        PreparedCases(dataset, plan, cache).load([case.id for case in dataset.cases])
        futures: dict[str, list[Future[Outcome]]] = {candidate.name: [] for candidate in candidates}
        for seed in range(arguments.seeds):
            for candidate in candidates:
                job = Job(candidate.name, candidate.architecture, arguments.seconds, seed)
                futures[candidate.name].append(pool.submit(outcome_of, job, dataset, plan, cache, results))
        return {name: [future.result() for future in started] for name, started in futures.items()}


def report(
    candidates: Sequence[Candidate], outcomes: dict[str, list[Outcome]], arguments: argparse.Namespace, plan: Plan
) -> None:
    rows = {each.name: row(each, outcomes[each.name], plan) for each in candidates}
    found, randoms = mean_of(FOUND, outcomes), mean_of(RANDOM, outcomes)
    for name, each in outcomes.items():
        rows[name] |= difference(found, averaged([outcome.evaluation for outcome in each]))
    print(
        f"\n{'':14} {'stem':>4} {'conv':>4} {'ms':>6} {'GMAC':>6} {'GMAC/s':>6} {'M par':>6} {'steps':>6} {'s':>5} "
        f"{'Dice':>7}  minus found, 95 %"
    )
    for name, figures in rows.items():
        print(
            f"{name:14} {figures['stem']:4} {figures['convolutions'] or '':4} {figures['ms']:6.1f} "
            f"{figures['gmacs']:6.2f} {figures['gmacs_per_second']:6.1f} {figures['parameters']:6.2f} "
            f"{figures['steps']:6.0f} {figures['seconds']:5.0f} {figures['dice']:7.4f}  {in_words(figures)}"
        )
    of_randoms = difference(found, randoms)
    print(f"{'mean of found':14} {'':50} {found.mean_foreground():7.4f}")
    print(f"{'mean of random':14} {'':50} {randoms.mean_foreground():7.4f}  {in_words(of_randoms)}")
    spread = spread_of(outcomes)
    print(
        f"standard deviation of Dice: {spread['between_genotypes']} between genotypes, {spread['between_trainings']} "
        f"between trainings of one; standard error of found minus random over genotypes {spread['standard_error']}"
    )
    result = {
        "random_minus_found": of_randoms,
        "spread": spread,
        "seconds": arguments.seconds,
        "seeds": arguments.seeds,
        "rows": rows,
    }
    print(json.dumps(result))


def row(candidate: Candidate, outcomes: Sequence[Outcome], plan: Plan) -> dict[str, Any]:
    """Cost, and means over the seeds."""
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes}
    cost = count(candidate.architecture, **shape, patch_size=plan.patch_size)
    scores = [outcome.evaluation.mean_foreground() or 0.0 for outcome in outcomes]
    return {
        "stem": candidate.architecture.stem_channels,
        "ms": round(candidate.milliseconds, 2),
        "gmacs": round(cost.gmacs, 3),
        "gmacs_per_second": round(1e3 * cost.gmacs / candidate.milliseconds, 1),
        "convolutions": num_convolutions(candidate.architecture),
        "parameters": round(cost.num_parameters / 1e6, 3),
        "steps": statistics.mean(outcome.num_steps for outcome in outcomes),
        "seconds": round(statistics.mean(outcome.seconds for outcome in outcomes), 1),
        "dice": round(statistics.mean(scores), 4),
        "dice_by_seed": [round(score, 4) for score in scores],
    }


def num_convolutions(architecture: Architecture) -> int | None:
    """Edges of searched cells that are dense convolutions; None of other architectures."""
    if not isinstance(architecture, ScnasArchitecture):
        return None
    return sum(operation is Operation.CONV for cell in CellType for operation in architecture.cells.of(cell))


def spread_of(outcomes: dict[str, list[Outcome]]) -> dict[str, float | None]:
    """How far apart the genotypes of the space are, and the trainings of one; None where there is but one.

    The standard error takes found and random genotypes to scatter alike around their means.
    """
    scores = {
        kind: [
            [outcome.evaluation.mean_foreground() or 0.0 for outcome in each]
            for name, each in outcomes.items()
            if name.startswith(kind)
        ]
        for kind in (FOUND, RANDOM)
    }
    means = {kind: [statistics.mean(each) for each in genotypes] for kind, genotypes in scores.items()}
    trainings = [statistics.variance(each) for genotypes in scores.values() for each in genotypes if len(each) > 1]
    freedom = sum(len(each) - 1 for each in means.values())
    within = sum((mean - statistics.mean(each)) ** 2 for each in means.values() for mean in each)
    between = (within / freedom) ** 0.5 if freedom else None
    error = between and between * sum(1 / len(each) for each in means.values()) ** 0.5
    return {
        "between_genotypes": between and round(between, 4),
        "between_trainings": round(statistics.mean(trainings) ** 0.5, 4) if trainings else None,
        "standard_error": error and round(error, 4),
    }


def mean_of(kind: str, outcomes: dict[str, list[Outcome]]) -> Evaluation:
    """Of all genotypes of a kind, and all their seeds."""
    return averaged(
        [outcome.evaluation for name, each in outcomes.items() if name.startswith(kind) for outcome in each]
    )


def averaged(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The mean Dice of several evaluations of the same cases; of their other scores, the first's."""
    first = evaluations[0]
    cases = []
    for number, case in enumerate(first.cases):
        others = [evaluation.cases[number].dice for evaluation in evaluations]
        dice = {label: mean_of_known([scores[label] for scores in others]) for label in first.labels}
        cases.append(case.model_copy(update={"dice": dice}))
    return first.model_copy(update={"cases": tuple(cases)})


def difference(found: Evaluation, other: Evaluation) -> dict[str, Any]:
    """What another network's Dice is above the found one's, with its interval over the cases."""
    compared: Difference | None = compare(found, other).metrics["dice"].mean_foreground
    assert compared is not None
    interval = None if compared.interval is None else [round(bound, 4) for bound in compared.interval]
    return {"minus_found": round(compared.difference, 4), "interval": interval}


def in_words(figures: dict[str, Any]) -> str:
    if figures["interval"] is None:
        return f"{figures['minus_found']:+.4f}"
    low, high = figures["interval"]
    return f"{figures['minus_found']:+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    main()
