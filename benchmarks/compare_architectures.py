"""Is what the search found better than what nobody searched? Trained for the same seconds, at the same measured cost.

Compares: a found genotype, random genotypes of the space it was searched in, the paper's 3D U-ResNet and nnU-Net's
PlainConvUNet, each as wide as takes the same milliseconds a patch on OpenVINO, each trained by the same trainer for
the same seconds on one core of this machine, each evaluated on the held-out cases of fold 0. Differences from the
found genotype carry 95 % paired bootstrap intervals over the cases.

Does not prove: what longer training would give; how much one training differs from the next (see --seeds); anything
of other datasets. The found genotype has cost a search on the training cases of fold 0, the others have not.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timed_training import Outcome, one_process_a_core, plan_of, train
from scnas_deploy.data.dataset import Dataset, read_dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.latency import latencies_ms, noise_patch
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.genotype import (
    Architecture,
    Genotype,
    Operation,
    PlainConvUNetArchitecture,
    UResNetArchitecture,
    load_genotype,
)
from scnas_deploy.search.random import random_architecture
from scnas_deploy.training.comparison import compare
from scnas_deploy.training.prepared import PreparedCases
from scnas_deploy.training.run import build_network


@dataclass(frozen=True)
class Candidate:
    """One architecture at the width that costs as much as the found one."""

    name: str
    architecture: Architecture
    milliseconds: float


def main() -> None:
    arguments = parse()
    dataset = read_dataset(arguments.data)
    plan = plan_of(dataset)
    candidates = []
    for candidate in make_candidates(load_genotype(arguments.genotype), arguments, plan):
        print(f"{candidate.name}: {candidate.architecture.stem_channels} channels, {candidate.milliseconds:.1f} ms")
        candidates.append(candidate)
    outcomes = train_all(candidates, dataset, plan, arguments)
    report(candidates, outcomes, arguments, plan)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("SCNAS_DATA")
    default = Path(data) / "Task04_Hippocampus" if data else None
    parser.add_argument("genotype", type=Path, help="genotype.json of a search on fold 0")
    parser.add_argument("--data", type=Path, default=default, required=default is None, help="dataset folder")
    parser.add_argument("--stem-channels", type=int, default=16, help="width of the found genotype")
    parser.add_argument("--seconds", type=float, default=900.0, help="training of each, on one core")
    parser.add_argument("--random", type=int, default=3, help="random genotypes")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each")
    return parser.parse_args()


def make_candidates(found: Genotype, arguments: argparse.Namespace, plan: Plan) -> Iterator[Candidate]:
    reference = found.architecture.with_stem(arguments.stem_channels)
    target = milliseconds_of(reference, plan)
    yield Candidate("found", reference, target)
    for name, architecture in rivals(found, arguments.random):
        yield at_milliseconds(name, architecture, target, plan)


def rivals(found: Genotype, num_random: int) -> Iterator[tuple[str, Architecture]]:
    searched = found.provenance.settings.get("operations", list(Operation))
    assert isinstance(searched, list)
    operations = tuple(Operation(name) for name in searched)
    for seed in range(num_random):
        yield f"random {seed}", random_architecture(seed, 16, operations)
    yield "U-ResNet", UResNetArchitecture()
    yield "PlainConvUNet", PlainConvUNetArchitecture()


def milliseconds_of(architecture: Architecture, plan: Plan) -> float:
    """Milliseconds of one patch on OpenVINO with one thread, as the training has one core."""
    model = export_onnx(build_network(architecture, plan).eval(), len(plan.channels), plan.patch_size)
    engine = OpenVinoEngine(model, num_threads=1)
    (milliseconds,) = latencies_ms([engine], noise_patch(len(plan.channels), plan.patch_size), repeats=15)
    return milliseconds


def at_milliseconds(name: str, architecture: Architecture, target: float, plan: Plan) -> Candidate:
    """The width, a multiple of four, whose measured time comes nearest; time rises with width."""
    measured: dict[int, float] = {}

    def excess(quarter: int) -> float:
        if quarter not in measured:
            measured[quarter] = milliseconds_of(architecture.with_stem(4 * quarter), plan)
        return measured[quarter] - target

    low, high = 1, 2
    while excess(high) < 0:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    best = min((low, high), key=lambda quarter: abs(excess(quarter)))
    return Candidate(name, architecture.with_stem(4 * best), measured[best])


def train_all(
    candidates: list[Candidate], dataset: Dataset, plan: Plan, arguments: argparse.Namespace
) -> dict[str, list[Outcome]]:
    """Outcomes of each candidate, one a seed."""
    with tempfile.TemporaryDirectory() as folder, one_process_a_core() as pool:
        cache = Path(folder)
        PreparedCases(dataset, plan, cache).load([case.id for case in dataset.cases])
        futures: dict[str, list[Future[Outcome]]] = {candidate.name: [] for candidate in candidates}
        for seed in range(arguments.seeds):
            for candidate in candidates:
                job = (candidate.name, candidate.architecture, dataset, plan, cache)
                futures[candidate.name].append(pool.submit(train, *job, seconds=arguments.seconds, seed=seed))
        return {name: [future.result() for future in started] for name, started in futures.items()}


def report(
    candidates: list[Candidate], outcomes: dict[str, list[Outcome]], arguments: argparse.Namespace, plan: Plan
) -> None:
    rows = {each.name: row(each, outcomes[each.name], outcomes["found"], plan) for each in candidates}
    print(
        f"\n{'':14} {'stem':>4} {'ms':>6} {'GMAC':>6} {'M par':>6} {'steps':>6} {'s':>5} {'Dice':>7}  minus found, 95 %"
    )
    for name, figures in rows.items():
        print(
            f"{name:14} {figures['stem']:4} {figures['ms']:6.1f} {figures['gmacs']:6.2f} {figures['parameters']:6.2f} "
            f"{figures['steps']:6.0f} {figures['seconds']:5.0f} {figures['dice']:7.4f}  {in_words(figures)}"
        )
    randoms = [figures["dice"] for name, figures in rows.items() if name.startswith("random")]
    result = {
        "found_minus_best_random": round(rows["found"]["dice"] - max(randoms), 4),
        "found_minus_mean_random": round(rows["found"]["dice"] - statistics.mean(randoms), 4),
        "seconds": arguments.seconds,
        "seeds": arguments.seeds,
        "rows": rows,
    }
    print(json.dumps(result))


def row(candidate: Candidate, outcomes: list[Outcome], found: list[Outcome], plan: Plan) -> dict[str, Any]:
    """Means over the seeds; difference and interval are those of the first seed's cases."""
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes}
    cost = count(candidate.architecture, **shape, patch_size=plan.patch_size)
    scores = [outcome.evaluation.mean_foreground() or 0.0 for outcome in outcomes]
    difference = compare(found[0].evaluation, outcomes[0].evaluation).metrics["dice"].mean_foreground
    assert difference is not None
    return {
        "stem": candidate.architecture.stem_channels,
        "ms": round(candidate.milliseconds, 2),
        "gmacs": round(cost.gmacs, 3),
        "parameters": round(cost.num_parameters / 1e6, 3),
        "steps": statistics.mean(outcome.num_steps for outcome in outcomes),
        "seconds": round(statistics.mean(outcome.seconds for outcome in outcomes), 1),
        "dice": round(statistics.mean(scores), 4),
        "dice_by_seed": [round(score, 4) for score in scores],
        "minus_found": round(difference.difference, 4),
        "interval": None if difference.interval is None else [round(bound, 4) for bound in difference.interval],
    }


def in_words(figures: dict[str, Any]) -> str:
    if figures["interval"] is None:
        return f"{figures['minus_found']:+.4f}"
    low, high = figures["interval"]
    return f"{figures['minus_found']:+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    main()
