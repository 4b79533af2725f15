"""scnas transfer: a genotype found on one task, trained on another."""

from pathlib import Path
from typing import Annotated

import typer

from scnas_deploy.cli import init, options, train


def transfer(
    genotype: Annotated[Path, typer.Argument(help="genotype.json found on another task.")],
    dataset: Annotated[Path, typer.Argument(help="MSD- or nnU-Net-style folder of the new task.")],
    project: options.ProjectOption = Path(),
    name: Annotated[str, typer.Option("--name", help="Name of the run, a folder in runs/.")] = "train",
    preset: options.PresetOption = None,
    fold: options.FoldOption = None,
    seed: options.SeedOption = None,
    epochs: options.EpochsOption = None,
    steps_per_epoch: options.StepsOption = None,
    gpus: options.GpusOption = 1,
) -> None:
    """Plan a new task and train a found genotype's network on it from scratch.

    As in Kim et al. 2019 (arXiv 1906.05956): the cells stay, stem and head take the new task's channels and
    classes, nothing of the old weights is used.
    """
    options.require_training()
    from scnas_deploy.networks.genotype import load_genotype
    from scnas_deploy.training.distributed import started_by_torchrun

    load_genotype(genotype)
    if not started_by_torchrun():  # the processes that --gpus starts find the plan made
        init.init(dataset, project=project)
    train.train(
        project=project,
        genotype=genotype,
        name=name,
        preset=preset,
        fold=fold,
        seed=seed,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        gpus=gpus,
    )
