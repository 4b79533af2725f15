"""A training step of the supernet with all eight operations on every edge, with two, with one, and checkpointed.

Compares: the same supernet (all eight operations, same weights, same patches), one process each, with
every operation executed (full, DARTS-like), two draws an edge (two, SCNAS), one draw (one), and two draws with
--checkpointing of `scnas search`, which computes cells twice instead of keeping what lies within them.
A step is what the search does: forward, backward and optimizer step on the weights, then forward, backward
and optimizer step on the architecture parameters. Prints the median time of a step and the peak resident
memory above the state before the first step.

Does not prove: anything about a GPU, about other widths, or about what the search finds.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time

from benchmarks.peak import PeakResident

VARIANTS = {"full": ("full", False), "two": ("two", False), "one": ("one", False), "checkpointed": ("two", True)}
"""Sampling, and whether cells are checkpointed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, help="measure one variant in this process, print JSON")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--stem-channels", type=int, default=16)
    arguments = parser.parse_args()
    if arguments.variant:
        print(json.dumps(measure(*VARIANTS[arguments.variant], arguments.steps, arguments.stem_channels)))
        return
    results = {variant: _in_own_process(variant, arguments) for variant in VARIANTS}
    print(
        f"{platform.processor() or platform.machine()}, {results['two']['torch']}, {results['two']['threads']} threads"
    )
    print(f"{'variant':14}{'s a step':>10}{'peak MB':>10}{'of full':>16}")
    full = results["full"]
    for variant, result in results.items():
        ratios = f"{result['seconds'] / full['seconds']:.2f} / {result['bytes'] / full['bytes']:.2f}"
        print(f"{variant:14}{result['seconds']:10.2f}{result['bytes'] / 1e6:10.0f}{ratios:>16}")
    ratios = {
        f"{what}_{first}_over_{second}": round(results[first][key] / results[second][key], 4)
        for first, second in (("two", "full"), ("one", "full"), ("checkpointed", "two"))
        for what, key in (("time", "seconds"), ("memory", "bytes"))
    }
    print(json.dumps(ratios))


def measure(sampling: str, checkpointing: bool, num_steps: int, stem_channels: int) -> dict[str, float | str | int]:
    import torch

    from scnas_deploy.networks.genotype import CellType, Operation
    from scnas_deploy.search.sampling import draw_cell
    from scnas_deploy.search.supernet import Supernet
    from scnas_deploy.training.losses import jaccard_distance

    torch.manual_seed(0)
    shape = {"in_channels": 1, "num_classes": 3, "stem_channels": stem_channels}
    supernet = Supernet(tuple(Operation), **shape, checkpointing=checkpointing)
    supernet = supernet.to(memory_format=torch.channels_last_3d)
    alpha = (1e-3 * torch.randn(len(CellType), 14, len(Operation))).requires_grad_()
    weights = torch.optim.Adam(supernet.parameters(), lr=1e-3)
    architecture = torch.optim.Adam([alpha], lr=1e-3)
    image = torch.randn(2, 1, 40, 56, 40).to(memory_format=torch.channels_last_3d)
    classes = torch.randint(0, 3, (2, 40, 56, 40))
    generator = torch.Generator().manual_seed(1)

    def half_step(optimizer: torch.optim.Optimizer, logits_alpha: torch.Tensor) -> None:
        draws = {
            cell: draw_cell(edges, 1.0, sampling, generator) for cell, edges in zip(CellType, logits_alpha, strict=True)
        }
        loss = jaccard_distance(supernet(image, draws), classes)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True
        ):
            parameter.grad = gradient
        optimizer.step()

    seconds = []
    with PeakResident() as peak:
        for _ in range(num_steps):
            started = time.perf_counter()
            half_step(weights, alpha.detach())
            half_step(architecture, alpha)
            seconds.append(time.perf_counter() - started)
    return {
        "seconds": statistics.median(seconds),
        "bytes": peak.above_start,
        "torch": f"torch {torch.__version__}",
        "threads": torch.get_num_threads(),
    }


def _in_own_process(variant: str, arguments: argparse.Namespace) -> dict:
    command = [sys.executable, "-m", "benchmarks.supernet_step", "--variant", variant]
    command += ["--steps", str(arguments.steps), "--stem-channels", str(arguments.stem_channels)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    main()
