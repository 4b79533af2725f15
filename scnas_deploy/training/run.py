"""Retraining a genotype's network from scratch, and reading it back."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from scnas_deploy.data.plan import Plan
from scnas_deploy.errors import FormatError
from scnas_deploy.files import atomic_path
from scnas_deploy.networks.builder import build
from scnas_deploy.networks.complexity import count, fit_width
from scnas_deploy.networks.genotype import Architecture, Genotype, own_patch_size
from scnas_deploy.networks.weights import load_weights, weights_of
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.gap import Gap
from scnas_deploy.training.loop import Loop, Progress
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.training.report_patches import ReportPatches
from scnas_deploy.training.seeding import derive_seed
from scnas_deploy.training.trainer import TrainingConfig, TrainingTask

WEIGHTS = "weights.safetensors"


def at_cost(genotype: Genotype, gmacs: float, plan: Plan) -> Genotype:
    """Return the genotype at the width whose cost on the plan's patch comes nearest to ``gmacs``."""
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes}
    patch_size = own_patch_size(genotype.architecture) or plan.patch_size
    wide = fit_width(genotype.architecture, gmacs, **shape, patch_size=patch_size)
    return at_width(genotype, wide.stem_channels, plan)


def at_width(genotype: Genotype, stem_channels: int, plan: Plan) -> Genotype:
    """Return the genotype at another width, its costs counted anew; what it took at its own does not hold there."""
    architecture = genotype.architecture.with_stem(stem_channels)
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes}
    cost = count(architecture, **shape, patch_size=own_patch_size(architecture) or plan.patch_size)
    update = {
        "architecture": architecture,
        "gmacs": round(cost.gmacs, 4),
        "num_parameters": cost.num_parameters,
        "budget": genotype.budget if architecture == genotype.architecture else None,
    }
    return genotype.model_copy(update=update)


def train(
    config: TrainingConfig,
    genotype: Genotype,
    plan: Plan,
    training: Sequence[PreparedCase],
    validation: Sequence[PreparedCase],
    folder: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    world: World = ALONE,
) -> nn.Module:
    """Train a genotype's network from scratch.

    Args:
        config: Settings; the network's width is ``config.stem_channels``.
        genotype: What to build.
        plan: The dataset's plan.
        training: Cases to learn from.
        validation: Cases whose loss is reported, and on which the network is measured beside its supernet.
        folder: The run folder; checkpoint, metrics, gap.json and weights.safetensors go there.
        resume: Continue from the folder's checkpoint.
        progress: Called after each step.
        world: The processes that train together; each returns the network.
    """
    network = build_network(genotype.architecture.with_stem(config.stem_channels), plan, seed=config.seed)
    task = TrainingTask(
        network,
        config,
        plan.with_patch_size(own_patch_size(genotype.architecture)),
        training,
        validation,
        world,
    )
    Loop(task, folder, resume=resume, progress=progress, world=world).run()
    if world.is_main:
        _measure(network.eval(), genotype, ReportPatches(validation, plan), world).save(folder)
        save_weights(weights_of(network), folder)
    world.barrier()
    return network.cpu().eval()


def _measure(network: nn.Module, genotype: Genotype, patches: ReportPatches, world: World) -> Gap:
    dice = patches.mean_dice(lambda _, image_BCXYZ: network(image_BCXYZ), world.device)
    return Gap.of(genotype.provenance, patches.digest(), dice)


def save_weights(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write a network's weights into its run folder."""
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, temporary)


def build_network(architecture: Architecture, plan: Plan, *, seed: int = 0) -> nn.Module:
    """Build a freshly initialised network for a plan; the seed alone decides its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "network"))
        return build(architecture, in_channels=len(plan.channels), num_classes=plan.num_classes)


def load_network(folder: Path, genotype: Genotype, plan: Plan) -> nn.Module:
    """Read a trained network from its run folder, on the CPU, ready to evaluate.

    Raises:
        FormatError: If the run has not finished, or its weights are damaged.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise FormatError(
            folder,
            expected="a finished training run",
            found="no weights",
            remedy="Finish it with `scnas train --resume`",
        )
    network = build_network(genotype.architecture, plan)
    try:
        load_weights(network, load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise FormatError(
            path, expected="this genotype's weights", found=str(error).splitlines()[0], remedy="Train it again"
        ) from error
    return network.eval()
