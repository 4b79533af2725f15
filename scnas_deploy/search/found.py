"""What a search ends with."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from scnas_deploy.networks.genotype import Architecture


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """The network found, and how sure the search was."""

    architecture: Architecture
    final_entropy: float
    """Mean entropy of the decisions in nats; 0 is decided."""
    warnings: tuple[str, ...] = ()
    weights: Mapping[str, Tensor] | None = None
    """Of a search that shares weights: those of the network, which needs no training of its own."""
