"""A search with a budget in milliseconds on OpenVINO against one without.

Compares, on fold 0 of Task04_Hippocampus: the networks of two searches that differ in `--budget-ms` alone, both at
the width of preset 'cpu' and trained with the same number of steps; their measured milliseconds a patch, in turns in
one process, and their Dice on the held-out cases. The budget is the free network's own time divided by 1.6.
Proves what was asked for where `measured_over_budget` is within 15 % of 1, `speedup` at least 1.5 and
`dice_difference` (budget minus free) at least -0.01. Takes two hours on two cores; what lies in `--project` from an
earlier call is not done again.

Does not prove: that the same holds for other seeds, longer trainings or other machines.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scnas_deploy.data.plan import load_plan
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.export.op_costs import Pace
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.latency import noise_patch
from scnas_deploy.networks.builder import build
from scnas_deploy.networks.costs import load_costs
from scnas_deploy.networks.genotype import Genotype, load_genotype
from scnas_deploy.training.run import at_width
from scnas_deploy.training.runs import RunFolder

SCNAS = Path(sys.executable).with_name("scnas")
STEM = 16
FASTER = 1.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="training steps of each network")
    parser.add_argument("--epochs", type=int, help="search epochs of two steps, for a quick look")
    parser.add_argument("--seed", type=int, default=0, help="of both searches")
    parser.add_argument("--threads", type=int, default=1, help="threads of the engine")
    parser.add_argument("--dataset", type=Path, help="instead of SCNAS_DATA's Task04_Hippocampus")
    parser.add_argument("--project", type=Path, help="working folder to keep; left out, a temporary one")
    arguments = parser.parse_args()
    dataset = arguments.dataset or Path(os.environ["SCNAS_DATA"]) / "Task04_Hippocampus"
    with tempfile.TemporaryDirectory() as temporary:
        project = arguments.project or Path(temporary)
        project.mkdir(parents=True, exist_ok=True)
        result = compare(project, dataset.resolve(), arguments)
    print(f"{'':8}{'ms':>9}{'GMAC':>8}{'Dice':>8}")
    for name in ("free", "budget"):
        print(f"{name:8}{result[f'{name}_ms']:9.1f}{result[f'{name}_gmacs']:8.3f}{result[f'{name}_dice']:8.4f}")
    print(json.dumps(result))


def compare(project: Path, dataset: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    runs = {name: f"{name}-{arguments.seed}" for name in ("free", "budget")}
    prepare(project, dataset, arguments.threads)
    search(project, runs["free"], arguments)
    (free_alone,) = measure(project, arguments.threads, _found(project, runs["free"]))
    limit = free_alone / FASTER
    budget = ("--budget-ms", f"{limit:.3f}", "--costs", "costs.json", "--stem-channels", str(STEM))
    search(project, runs["budget"], arguments, *budget)
    with ThreadPoolExecutor(len(runs)) as side_by_side:
        scores = side_by_side.map(lambda run: train(project, run, arguments.steps), runs.values())
        dice = dict(zip(runs, scores, strict=True))
    found = {name: _found(project, run) for name, run in runs.items()}
    free_ms, budget_ms = measure(project, arguments.threads, *found.values())
    kept = found["budget"].budget
    assert kept is not None
    return {
        "budget_limit_ms": round(kept.limit, 2),
        "free_ms": round(free_ms, 2),
        "budget_ms": round(budget_ms, 2),
        "measured_over_budget": round(budget_ms / kept.limit, 3),
        "predicted_over_measured_in_search": round(kept.predicted / kept.measured, 3),
        "speedup": round(free_ms / budget_ms, 3),
        "free_gmacs": at_width(found["free"], STEM, load_plan(project / "plan.json")).gmacs,
        "budget_gmacs": found["budget"].gmacs,
        "free_dice": round(dice["free"], 4),
        "budget_dice": round(dice["budget"], 4),
        "dice_difference": round(dice["budget"] - dice["free"], 4),
        "training_steps": arguments.steps,
    }


def prepare(project: Path, dataset: Path, threads: int) -> None:
    """Plan and costs."""
    if not (project / "plan.json").exists():
        scnas(project, "init", str(dataset))
    if not (project / "costs.json").exists():
        measured = ("--engine", "openvino", "--threads", str(threads), "--stem-channels", str(STEM))
        scnas(project, "bench", "--ops", *measured)


def search(project: Path, run: str, arguments: argparse.Namespace, *budget: str) -> None:
    if (project / "runs" / run / "genotype.json").exists():
        return
    length = () if arguments.epochs is None else ("--epochs", str(arguments.epochs), "--steps-per-epoch", "2")
    scnas(project, "search", "--preset", "cpu", "--name", run, "--seed", str(arguments.seed), *length, *budget)


def train(project: Path, name: str, steps: int) -> float:
    """Train the network of a search; returns the mean foreground Dice of the held-out cases."""
    genotype = ("--genotype", str((project / "runs" / name / "genotype.json").resolve()))
    length = ("--epochs", "1") if steps < 10 else ("--epochs", str(steps // 10))
    steps_per_epoch = ("--steps-per-epoch", str(min(steps, 10)))
    run = ("--name", f"{name}-trained-{steps}")
    folder = RunFolder(project / "runs" / run[1])
    if folder.evaluation() is None:
        scnas(project, "train", "--preset", "cpu", *run, *genotype, *length, *steps_per_epoch)
        scnas(project, "evaluate", *run)
    evaluation = folder.evaluation()
    assert evaluation is not None
    dice = evaluation.mean_foreground()
    assert dice is not None, "no held-out case has a structure"
    return dice


def measure(project: Path, threads: int, *genotypes: Genotype) -> list[float]:
    """Milliseconds a patch, the networks in turns, at the pace at which the costs were measured."""
    plan = load_plan(project / "plan.json")
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes}
    networks = [build(genotype.architecture.with_stem(STEM), **shape) for genotype in genotypes]
    models = [export_onnx(network, len(plan.channels), plan.patch_size) for network in networks]
    patch, pace = noise_patch(len(plan.channels), plan.patch_size), Pace.of(load_costs(project / "costs.json"), plan)
    return pace.latencies_ms([(OpenVinoEngine(model, num_threads=threads), patch) for model in models], repeats=31)


def scnas(project: Path, *arguments: str) -> None:
    """Run a command in the project on one core."""
    print(f"$ scnas {' '.join(arguments)}", file=sys.stderr, flush=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([str(SCNAS), *arguments], cwd=project, env=environment, stdout=sys.stderr, check=True)


def _found(project: Path, name: str) -> Genotype:
    return load_genotype(project / "runs" / name / "genotype.json")


if __name__ == "__main__":
    main()
