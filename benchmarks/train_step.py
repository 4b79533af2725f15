"""A training step of the supernet: ours against PyTorch's layers in the default memory layout.

Compares: `scnas_deploy.search.supernet` with `benchmarks/naive_supernet.py`, the same weights, patches and drawn
operations (two an edge), in one process and in turns: forward, loss, backward and optimizer step. Prints the
median of each and of their ratio, and how far the losses are apart, before a step and after all of them.

Does not prove: anything about a GPU, about other widths, or about a network with a fixed graph.
"""

import argparse
import json
import statistics
import time

import torch
from torch import Tensor, nn

from benchmarks.naive_supernet import NaiveSupernet
from scnas_deploy.networks.genotype import CellType, Operation
from scnas_deploy.search.sampling import draw_cell
from scnas_deploy.search.supernet import Supernet
from scnas_deploy.training.losses import jaccard_distance
from scnas_deploy.training.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--stem-channels", type=int, default=16)
    parser.add_argument("--patch", type=int, nargs=3, default=(40, 56, 40))
    arguments = parser.parse_args()
    result = compare(arguments.steps, arguments.stem_channels, tuple(arguments.patch))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(
        f"{'':8}{'s a step':>10}\n{'naive':8}{result['naive_seconds']:10.2f}\n{'ours':8}{result['our_seconds']:10.2f}"
    )
    print(json.dumps(result))


def compare(num_steps: int, stem_channels: int, patch: tuple[int, ...]) -> dict[str, float]:
    keep_freed_memory()  # for both sides
    torch.manual_seed(0)
    shape = {"in_channels": 1, "num_classes": 3, "stem_channels": stem_channels}
    ours = Supernet(tuple(Operation), **shape)
    naive = NaiveSupernet(**shape)
    _copy_weights(ours, naive)
    ours = ours.to(memory_format=torch.channels_last_3d)
    image, classes = torch.randn(4, 1, *patch), torch.randint(0, 3, (4, *patch))
    steps = {"our": _Step(ours, image.to(memory_format=torch.channels_last_3d), classes)}
    steps["naive"] = _Step(naive, image, classes)
    generator = torch.Generator().manual_seed(1)
    alpha = 1e-3 * torch.randn(len(CellType), 14, len(Operation), generator=generator)
    losses = {name: [] for name in steps}
    seconds = {name: [] for name in steps}
    for number in range(num_steps + 1):
        draws = {cell: draw_cell(edges, 1.0, "two", generator) for cell, edges in zip(CellType, alpha, strict=True)}
        for name in sorted(steps, reverse=bool(number % 2)):
            started = time.perf_counter()
            losses[name].append(steps[name](draws))
            if number:  # the first step compiles and warms up
                seconds[name].append(time.perf_counter() - started)
    ratios = [naive / our for naive, our in zip(seconds["naive"], seconds["our"], strict=True)]
    gaps = [abs(naive - our) for naive, our in zip(losses["naive"], losses["our"], strict=True)]
    return {
        "naive_seconds": round(statistics.median(seconds["naive"]), 3),
        "our_seconds": round(statistics.median(seconds["our"]), 3),
        "speedup_over_naive": round(statistics.median(ratios), 3),
        "loss_difference_first_step": gaps[0],
        "loss_difference_last_step": gaps[-1],
    }


class _Step:
    def __init__(self, network: nn.Module, image: Tensor, classes: Tensor) -> None:
        self.network, self.image, self.classes = network, image, classes
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def __call__(self, draws: dict) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = jaccard_distance(self.network(self.image, draws), self.classes)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def _copy_weights(ours: nn.Module, naive: nn.Module) -> None:
    """Both declare stem, cells (projections, then edges) and head in the same order."""
    with torch.no_grad():
        for source, target in zip(ours.parameters(), naive.parameters(), strict=True):
            target.copy_(source)


if __name__ == "__main__":
    main()
