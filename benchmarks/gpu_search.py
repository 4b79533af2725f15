"""A search step of SCNAS with two drawn operations, with all of them, and of MONAI's DiNTS, at equal MACs.

Compares, one process each: this package's supernet with two operations an edge (two) and with all eight (full,
DARTS-like), and MONAI's TopologySearch (dints; He et al. 2021, arXiv 2103.15954), which runs all five of its operations
on every path. The width of DiNTS is chosen so that a forward pass of its supernet takes as many multiply-accumulates
as one of ours with all operations: two supernets of equal size, of which `two` executes a part. A step is a search's:
the weights' forward, backward and Adam step, then the architecture's, with Jaccard distance; DiNTS' architecture step
has its entropy, memory and topology terms, as MONAI's search script has them. Each side runs in the memory layout its
project uses, on random patches. On CUDA under bfloat16 autocast, as `scnas search` runs; on the CPU in float32, with
this package's row kernels. Prints the median time of a step after a first one that warms up, peak memory (CUDA:
allocated; CPU: resident, above the state before the first step), and both per executed GMAC.

Does not prove: what either search finds. For that, cross-validate on the GPU machine:

    scnas init $SCNAS_DATA/Task04_Hippocampus
    scnas cross-validate --preset paper

once a GPU (`--jobs 4` with four), go on after an interruption with the same command, and hold the mean foreground Dice
of runs/cross-validation/cross-validation.json against nnU-Net's 0.8891 on the same five folds. Nobody has run that yet.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softmax
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peak import PeakResident
from scnas_deploy.networks.genotype import CellType, Operation
from scnas_deploy.search.sampling import draw_cell
from scnas_deploy.search.supernet import Supernet
from scnas_deploy.training.losses import jaccard_distance
from scnas_deploy.training.memory import keep_freed_memory
from scnas_deploy.training.trainer import mixed_precision

VARIANTS = ("two", "full", "dints")
CHANNELS, CLASSES = 1, 3
COUNTED_PATCH = (32, 32, 32)
"""MACs are counted on a small patch; they grow with its voxels."""
NUM_DRAWS = 5
"""Draws over which the MACs of `two` are averaged."""
RAM_FACTOR = 0.8
"""Share of the full memory that DiNTS' memory term steers to; no figure here depends on it."""

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DEFAULTS = {
    "cuda": {"steps": 20, "stem_channels": 48, "batch": 4, "patch": [96, 96, 96]},
    "cpu": {"steps": 3, "stem_channels": 8, "batch": 1, "patch": [64, 64, 64]},
}[DEVICE.type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, help="measure one variant in this process, print JSON")
    parser.add_argument("--channel-mul", type=float, help="width of DiNTS; left out, that of equal MACs")
    parser.add_argument("--steps", type=int, help="timed steps")
    parser.add_argument("--stem-channels", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--patch", type=int, nargs=3, help="multiples of 32")
    parser.set_defaults(**DEFAULTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # MONAI's, of what it imports
    if arguments.variant:
        print(json.dumps(measure(arguments)))
        return
    executed, arguments.channel_mul = count_all(arguments)
    results = {variant: in_own_process(variant, arguments) for variant in VARIANTS}
    show(results, executed, arguments)


def show(results: dict[str, dict[str, float]], executed: dict[str, float], arguments: argparse.Namespace) -> None:
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    patch = " x ".join(map(str, arguments.patch))
    print(f"{name}, torch {torch.__version__}, {arguments.batch} patches of {patch}, stem {arguments.stem_channels}")
    print(f"{'':8}{'GMAC a forward':>16}{'s a step':>12}{'peak GB':>10}{'ms a GMAC':>12}{'MB a GMAC':>12}")
    for variant, result in results.items():
        seconds, size, gmacs = result["seconds"], result["bytes"], executed[variant]
        per = f"{1e3 * seconds / gmacs:12.2f}{size / 1e6 / gmacs:12.2f}"
        print(f"{variant:8}{gmacs:16.2f}{seconds:12.3f}{size / 1e9:10.2f}{per}")
    summary = {"device": DEVICE.type, "dints_channel_mul": round(arguments.channel_mul, 4)}
    summary |= {f"gmacs_{variant}": round(gmacs, 3) for variant, gmacs in executed.items()}
    for other in ("full", "dints"):
        for what, key in (("time", "seconds"), ("memory", "bytes")):
            summary[f"{what}_two_over_{other}"] = round(results["two"][key] / results[other][key], 4)
    print(json.dumps(summary))


def count_all(arguments: argparse.Namespace) -> tuple[dict[str, float], float]:
    """GMAC of each variant's forward pass over the batch, and DiNTS' width."""
    scale = arguments.batch * math.prod(arguments.patch) / math.prod(COUNTED_PATCH)
    executed = {sampling: count_scnas(sampling, arguments.stem_channels) * scale for sampling in ("two", "full")}
    channel_mul = arguments.channel_mul or fit_channel_mul(executed["full"] / scale)
    return {**executed, "dints": count(make_dints(channel_mul)) * scale}, channel_mul


def fit_channel_mul(gmacs: float) -> float:
    """DiNTS' width at a cost; most of its MACs grow with the square of it."""
    channel_mul = 0.25
    for _ in range(3):
        channel_mul *= math.sqrt(gmacs / count(make_dints(channel_mul)))
        channel_mul = max(channel_mul, 1 / 16)  # below, its factorized convolutions have no channels left
    return channel_mul


def count_scnas(sampling: str, stem_channels: int) -> float:
    supernet, alpha, generator = make_scnas(stem_channels)
    num_draws = NUM_DRAWS if sampling == "two" else 1
    draws = [draw(alpha, sampling, generator) for _ in range(num_draws)]
    return statistics.mean(count(lambda image, drawn=drawn: supernet(image, drawn)) for drawn in draws)


def count(network: Callable[[Tensor], Tensor]) -> float:
    """GMAC of one small patch, by PyTorch's counter."""
    image = torch.zeros(1, CHANNELS, *COUNTED_PATCH, device=DEVICE)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops() / 2e9


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    keep_freed_memory()
    torch.manual_seed(0)
    step = _DintsStep(arguments) if arguments.variant == "dints" else _ScnasStep(arguments)
    seconds = []
    with nullcontext() if DEVICE.type == "cuda" else PeakResident() as peak:
        for _ in range(arguments.steps + 1):
            started = now()
            step.weights()
            step.architecture()
            seconds.append(now() - started)
    size = torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else peak.above_start
    return {"seconds": statistics.median(seconds[1:]), "bytes": size}


def now() -> float:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def random_batch(arguments: argparse.Namespace) -> tuple[Tensor, Tensor]:
    image = torch.randn(arguments.batch, CHANNELS, *arguments.patch, device=DEVICE)
    return image, torch.randint(0, CLASSES, (arguments.batch, *arguments.patch), device=DEVICE)


def make_scnas(stem_channels: int) -> tuple[Supernet, Tensor, torch.Generator]:
    supernet = Supernet(tuple(Operation), in_channels=CHANNELS, num_classes=CLASSES, stem_channels=stem_channels)
    supernet = supernet.to(DEVICE, memory_format=torch.channels_last_3d)
    alpha = (1e-3 * torch.randn(len(CellType), 14, len(Operation))).requires_grad_()
    return supernet, alpha, torch.Generator().manual_seed(1)


def draw(alpha: Tensor, sampling: str, generator: torch.Generator) -> dict:
    return {cell: draw_cell(edges, 1.0, sampling, generator) for cell, edges in zip(CellType, alpha, strict=True)}


class _ScnasStep:
    """As `search/bilevel.py` takes it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._supernet, self._alpha, self._generator = make_scnas(arguments.stem_channels)
        self._sampling = arguments.variant
        image, self._classes = random_batch(arguments)
        self._image = image.to(memory_format=torch.channels_last_3d)
        self._of_weights = torch.optim.Adam(self._supernet.parameters(), lr=1e-3)
        self._of_alpha = torch.optim.Adam([self._alpha], lr=1e-3)

    def weights(self) -> None:
        self._descend(self._of_weights, self._alpha.detach())

    def architecture(self) -> None:
        self._descend(self._of_alpha, self._alpha)

    def _descend(self, optimizer: torch.optim.Optimizer, alpha: Tensor) -> None:
        draws = draw(alpha, self._sampling, self._generator)
        with mixed_precision(DEVICE):
            logits = self._supernet(self._image, draws)
        loss = jaccard_distance(logits, self._classes)
        parameters = optimizer.param_groups[0]["params"]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()


def make_dints(channel_mul: float) -> nn.Module:
    """DiNTS as MONAI's Auto3DSeg searches it: 12 blocks, four resolutions, the first at half the patch's."""
    from monai.networks.nets.dints import DiNTS, TopologySearch

    space = TopologySearch(
        channel_mul=channel_mul, num_blocks=12, num_depths=4, use_downsample=True, device=str(DEVICE)
    )
    return DiNTS(space, in_channels=CHANNELS, num_classes=CLASSES, use_downsample=True).to(DEVICE)


class _DintsStep:
    """As the search script of MONAI's Auto3DSeg takes it, once its warm-up of the weights is over."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._network = make_dints(arguments.channel_mul)
        self._space = self._network.dints_space
        self._alphas = [self._space.log_alpha_a, self._space.log_alpha_c]
        of_space = {id(parameter) for parameter in self._alphas}
        self._weights = [parameter for parameter in self._network.parameters() if id(parameter) not in of_space]
        self._image, self._classes = random_batch(arguments)
        self._of_weights = torch.optim.Adam(self._weights, lr=1e-3)
        self._of_alpha = torch.optim.Adam(self._alphas, lr=1e-3)

    def weights(self) -> None:
        self._descend(self._of_weights, self._weights, self._alphas, lambda: 0.0)

    def architecture(self) -> None:
        self._descend(self._of_alpha, self._alphas, self._weights, self._architecture_terms)

    def _descend(
        self,
        optimizer: torch.optim.Optimizer,
        moved: list[nn.Parameter],
        frozen: list[nn.Parameter],
        terms: Callable[[], Tensor | float],
    ) -> None:
        for parameter in moved:
            parameter.requires_grad_(True)
        for parameter in frozen:
            parameter.requires_grad_(False)
        optimizer.zero_grad(set_to_none=True)
        with mixed_precision(DEVICE):
            logits = self._network(self._image)
        (jaccard_distance(logits, self._classes) + terms()).backward()
        optimizer.step()

    def _architecture_terms(self) -> Tensor:
        space = self._space
        probability, _ = space.get_prob_a(child=True)
        entropy = -(probability * torch.log(probability + 1e-5)).mean()
        entropy -= (softmax(space.log_alpha_c, -1) * log_softmax(space.log_alpha_c, -1)).mean()
        share = space.get_ram_cost_usage(self._image.shape) / space.get_ram_cost_usage(self._image.shape, full=True)
        return entropy + (RAM_FACTOR - share).abs() + 0.001 * space.get_topology_entropy(probability)


def in_own_process(variant: str, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.gpu_search", "--variant", variant]
    for name in ("channel_mul", "steps", "stem_channels", "batch"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    command += ["--patch", *map(str, arguments.patch)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
