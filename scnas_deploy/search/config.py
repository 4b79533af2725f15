"""How a search is run: the paper's settings, and a short one for two cores."""

from dataclasses import dataclass, field

from scnas_deploy.networks.genotype import Operation
from scnas_deploy.search.sampling import Sampling
from scnas_deploy.training.augmentation import AugmentationConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """The defaults are the paper's (Kim et al. 2019, arXiv 1906.05956, section 3)."""

    operations: tuple[Operation, ...] = tuple(Operation)
    """The operations to choose from; fewer than eight is a restriction of the paper's space."""
    stem_channels: int = 48
    batch_size: int = 4
    num_epochs: int = 200
    steps_per_epoch: int | None = None
    """None: as many as pass once over the weights' cases. The paper does not say."""
    sampling: Sampling = "two"
    weight_learning_rate: float = 0.025
    weight_betas: tuple[float, float] = (0.9, 0.999)
    """The paper prints (0.1, 0.001): 1 - beta, as the library of its reference [4] writes them."""
    plateau_factor: float = 0.1
    plateau_epochs: int = 20
    alpha_learning_rate: float = 0.003
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    tau_start: float = 10.0
    """Temperature at the first step; linear to ``tau_end``, as in GDAS. The paper does not say."""
    tau_end: float = 0.1
    foreground: float = 0.5
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    num_workers: int = 0
    seed: int = 0


PRESETS: dict[str, SearchConfig] = {
    "paper": SearchConfig(num_workers=8),
    "cpu": SearchConfig(
        operations=(Operation.CONV, Operation.IDENTITY, Operation.ZERO),
        stem_channels=8,
        batch_size=2,
        num_epochs=12,
        steps_per_epoch=5,
        weight_learning_rate=0.01,
        alpha_learning_rate=0.05,
        tau_start=3.0,
        foreground=0.9,
    ),
}
"""'cpu' chooses between dense convolution, identity and zero only, and takes 60 steps of each kind."""
