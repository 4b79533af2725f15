"""scnas baseline: a genotype that was not searched, to train and compare on equal terms."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say

if TYPE_CHECKING:
    from scnas_deploy.networks.genotype import Architecture


class Baseline(StrEnum):
    """What to compare with."""

    RANDOM = "random"
    U_RESNET = "u_resnet"
    PLAIN_CONV_UNET = "plain_conv_unet"


def baseline(
    kind: Annotated[Baseline, typer.Argument(help="Random cells, the paper's 3D U-ResNet, or nnU-Net's own network.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write it.")] = Path("genotype.json"),
    project: options.ProjectOption = Path(),
    gmacs: Annotated[
        float | None,
        typer.Option("--target-gmacs", min=0.001, help="Choose the width nearest to this cost of a patch."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which random cells.")] = 0,
) -> None:
    """Write a genotype to train with `scnas train --genotype`."""
    options.require_training()
    from scnas_deploy.data.plan import load_plan
    from scnas_deploy.networks.genotype import Genotype, Provenance
    from scnas_deploy.training.run import at_cost, at_width

    plan = load_plan(project / "plan.json")
    origin = Provenance(made_by=f"scnas baseline {kind}", seed=seed if kind is Baseline.RANDOM else None)
    plain = Genotype(architecture=_architecture(kind, seed), provenance=origin)
    found = at_width(plain, plain.architecture.stem_channels, plan) if gmacs is None else at_cost(plain, gmacs, plan)
    found.save(output)
    width = f"{found.architecture.stem_channels} channels"
    say(f"Wrote {output}: {width}, {found.gmacs:.2f} GMAC a patch, {found.num_parameters:,} parameters.")
    say(f"Next: scnas train --genotype {output} --stem-channels {found.architecture.stem_channels}")


def _architecture(kind: Baseline, seed: int) -> "Architecture":
    from scnas_deploy.networks.genotype import PlainConvUNetArchitecture, UResNetArchitecture
    from scnas_deploy.search.random import random_architecture

    if kind is Baseline.U_RESNET:
        return UResNetArchitecture()
    if kind is Baseline.PLAIN_CONV_UNET:
        return PlainConvUNetArchitecture()
    return random_architecture(seed, stem_channels=16)
