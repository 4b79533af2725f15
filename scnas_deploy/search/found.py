"""What a search ends with."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from scnas_deploy.networks.genotype import Architecture, BudgetRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchGap:
    """What the hand-over to the network found loses; None where nothing was measured or there is no such figure."""

    supernet_dice: float | None = None
    derived_dice: float | None = None
    """Of the network found, with the weights it shared."""
    patches: str | None = None
    """Digest of the patches."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """The network found, and how sure the search was."""

    architecture: Architecture
    final_entropy: float
    """Mean entropy of the decisions in nats; 0 is decided."""
    warnings: tuple[str, ...] = ()
    budget: BudgetRecord | None = None
    """What it was found for, predicted and measured."""
    weights: Mapping[str, Tensor] | None = None
    """Of a search that shares weights: those of the network, which needs no training of its own."""
