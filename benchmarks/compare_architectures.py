"""Is what the search found better than what nobody searched? Trained for the same seconds, at the same measured cost.

Compares: a found genotype, random genotypes of the space it was searched in, the paper's 3D U-ResNet and nnU-Net's
PlainConvUNet, each as wide as takes the same milliseconds a patch on OpenVINO, each trained by the same trainer for
the same seconds on one core of this machine, each evaluated on the held-out cases of fold 0. Differences from the
found genotype carry 95 % paired bootstrap intervals over the cases.

Does not prove: what longer training would give; the variation between seeds of one training (see --seeds); anything
of other datasets. The found genotype was searched on the training cases of fold 0, which the others have not cost.
"""

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import Queue, get_context
from pathlib import Path

import numpy as np

from scnas_deploy.data.check import check_dataset
from scnas_deploy.data.dataset import Dataset, read_dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.planning import default_channels, default_labels, make_plan
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.latency import latencies_ms, noise_patch
from scnas_deploy.networks.genotype import (
    Architecture,
    Genotype,
    Operation,
    PlainConvUNetArchitecture,
    UResNetArchitecture,
    load_genotype,
)
from scnas_deploy.project import Project
from scnas_deploy.training.comparison import compare
from scnas_deploy.training.evaluation import Evaluation, Evaluator
from scnas_deploy.training.loop import Task

FOLD = 0
WARM_UP_STEPS = 4
NUM_TIMED_STEPS = 8


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
    found = load_genotype(arguments.genotype)
    reference = found.architecture.with_stem(arguments.stem_channels)
    target = milliseconds_of(reference, plan)
    print(f"the found genotype, stem {arguments.stem_channels}: {target:.1f} ms a patch on OpenVINO", flush=True)
    candidates = [Candidate("found", reference, target)]
    for name, architecture in rivals(found, arguments.random):
        candidates.append(at_milliseconds(name, architecture, target, plan))
        print(
            f"{name}: stem {candidates[-1].architecture.stem_channels}, {candidates[-1].milliseconds:.1f} ms",
            flush=True,
        )
    jobs = [(candidate, seed) for seed in range(arguments.seeds) for candidate in candidates]
    with tempfile.TemporaryDirectory() as folder, workers() as pool:
        futures = [pool.submit(train, job, dataset, plan, arguments.seconds, Path(folder)) for job in jobs]
        outcomes = [future.result() for future in futures]
    report(candidates, jobs, outcomes, arguments)


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


def plan_of(dataset: Dataset) -> Plan:
    project = Project(
        name=dataset.root.name,
        dataset=dataset.root,
        labels=default_labels(dataset),
        channels=default_channels(dataset),
    )
    return make_plan(dataset, check_dataset(dataset).fingerprint(), project)


def rivals(found: Genotype, num_random: int) -> Iterator[tuple[str, Architecture]]:
    from scnas_deploy.search.random import random_architecture

    searched = found.provenance.settings.get("operations", list(Operation))
    operations = tuple(Operation(name) for name in searched)
    for seed in range(num_random):
        yield f"random {seed}", random_architecture(seed, 16, operations)
    yield "U-ResNet", UResNetArchitecture()
    yield "PlainConvUNet", PlainConvUNetArchitecture()


def milliseconds_of(architecture: Architecture, plan: Plan) -> float:
    """Milliseconds of one patch on OpenVINO with one thread, as the training has one core."""
    from scnas_deploy.export.onnx import export_onnx
    from scnas_deploy.training.run import build_network

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


def workers() -> ProcessPoolExecutor:
    """One process a core, each kept to its own."""
    context = get_context("spawn")
    free = context.Queue()
    cores = sorted(os.sched_getaffinity(0))
    for core in cores:
        free.put(core)
    return ProcessPoolExecutor(len(cores), mp_context=context, initializer=take_core, initargs=(free,))


def take_core(free: Queue) -> None:
    import torch

    os.sched_setaffinity(0, {free.get()})
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Outcome:
    """What a training came to."""

    num_steps: int
    seconds: float
    num_parameters: int
    gmacs: float
    evaluation: Evaluation


def train(job: tuple[Candidate, int], dataset: Dataset, plan: Plan, seconds: float, folder: Path) -> Outcome:
    """Train for the given seconds: as many steps as a few timed ones say, with a rate that decays over them."""
    from scnas_deploy.inference.engines.pytorch import TorchEngine
    from scnas_deploy.networks.complexity import count
    from scnas_deploy.training.folds import fold_split
    from scnas_deploy.training.prepared import PreparedCases
    from scnas_deploy.training.run import build_network
    from scnas_deploy.training.trainer import PRESETS, TrainingTask

    candidate, seed = job
    split = fold_split([case.id for case in dataset.cases], FOLD)
    cases = PreparedCases(dataset, plan, folder / str(os.getpid()))
    training, validation = cases.load(split.training), cases.load(split.validation)
    stem = candidate.architecture.stem_channels
    base = dataclasses.replace(PRESETS["cpu"], stem_channels=stem, foreground=0.5, num_epochs=1, seed=seed)

    def task_of(num_steps: int) -> TrainingTask:
        epochs = min(20, num_steps)
        config = dataclasses.replace(base, num_epochs=epochs, steps_per_epoch=max(1, num_steps // epochs))
        return TrainingTask(build_network(candidate.architecture, plan, seed=seed), config, plan, training, validation)

    num_steps = max(1, int(seconds / seconds_a_step(task_of(WARM_UP_STEPS + NUM_TIMED_STEPS))))
    task = task_of(num_steps)
    done, spent = run(task, seconds)
    evaluator = Evaluator(dataset, plan, TorchEngine(task.network), candidate.name)
    evaluation = evaluator.evaluate(split.validation, fold=FOLD)
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes, "patch_size": plan.patch_size}
    cost = count(candidate.architecture, **shape)
    print(f"{candidate.name}: {done} steps in {spent:.0f} s, Dice {evaluation.mean_foreground():.4f}", flush=True)
    return Outcome(done, spent, cost.num_parameters, cost.gmacs, evaluation)


def seconds_a_step(task: Task) -> float:
    task.begin(0, WARM_UP_STEPS + NUM_TIMED_STEPS)
    times = [timed(task.step, number) for number in range(WARM_UP_STEPS + NUM_TIMED_STEPS)]
    return statistics.median(times[WARM_UP_STEPS:])


def timed(action: Callable[[int], object], number: int) -> float:
    started = time.monotonic()
    action(number)
    return time.monotonic() - started


def run(task: Task, seconds: float) -> tuple[int, float]:
    """Step until the schedule or the time is over; validation at the end of an epoch does not count as training."""
    total = task.num_epochs * task.steps_per_epoch
    task.begin(0, total)
    spent = 0.0
    for number in range(total):
        spent += timed(task.step, number)
        if (number + 1) % task.steps_per_epoch == 0:
            task.finish_epoch(number // task.steps_per_epoch, 0.0)
        if spent > 1.05 * seconds:
            return number + 1, spent
    return total, spent


def report(
    candidates: list[Candidate],
    jobs: list[tuple[Candidate, int]],
    outcomes: list[Outcome],
    arguments: argparse.Namespace,
) -> None:
    by_name = {c.name: [o for (job, _), o in zip(jobs, outcomes, strict=True) if job is c] for c in candidates}
    rows = {c.name: row(c, by_name[c.name], by_name["found"]) for c in candidates}
    print(
        f"\n{'':14} {'stem':>4} {'ms':>6} {'GMAC':>6} {'M par':>6} {'steps':>6} {'s':>5} {'Dice':>7}  minus found, 95 %"
    )
    for name, figures in rows.items():
        print(
            f"{name:14} {figures['stem']:4} {figures['ms']:6.1f} {figures['gmacs']:6.2f} {figures['parameters']:6.2f} "
            f"{figures['steps']:6.0f} {figures['seconds']:5.0f} {figures['dice']:7.4f}  {interval(figures)}"
        )
    randoms = [figures["dice"] for name, figures in rows.items() if name.startswith("random")]
    result = {
        "found_minus_best_random": round(rows["found"]["dice"] - max(randoms), 4),
        "found_minus_mean_random": round(rows["found"]["dice"] - float(np.mean(randoms)), 4),
        "seconds": arguments.seconds,
        "seeds": arguments.seeds,
        "rows": rows,
    }
    print(json.dumps(result))


def row(candidate: Candidate, outcomes: list[Outcome], found: list[Outcome]) -> dict:
    """Means over the seeds; the interval is that of the first seed's cases."""
    first = compare(found[0].evaluation, outcomes[0].evaluation).metrics["dice"].mean_foreground
    assert first is not None
    return {
        "stem": candidate.architecture.stem_channels,
        "ms": round(candidate.milliseconds, 2),
        "gmacs": round(outcomes[0].gmacs, 3),
        "parameters": round(outcomes[0].num_parameters / 1e6, 3),
        "steps": statistics.mean(outcome.num_steps for outcome in outcomes),
        "seconds": round(statistics.mean(outcome.seconds for outcome in outcomes), 1),
        "dice": round(statistics.mean(outcome.evaluation.mean_foreground() or 0.0 for outcome in outcomes), 4),
        "dice_by_seed": [round(outcome.evaluation.mean_foreground() or 0.0, 4) for outcome in outcomes],
        "minus_found": round(first.difference, 4),
        "interval": None if first.interval is None else [round(bound, 4) for bound in first.interval],
    }


def interval(figures: dict) -> str:
    if figures["interval"] is None:
        return f"{figures['minus_found']:+.4f}"
    low, high = figures["interval"]
    return f"{figures['minus_found']:+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    main()
