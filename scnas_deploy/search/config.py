"""How a search is run: the paper's settings, and a short one for two cores."""

from dataclasses import dataclass, field

from scnas_deploy.networks.genotype import Operation
from scnas_deploy.search.budget import Budget
from scnas_deploy.search.sampling import Sampling, TauSchedule
from scnas_deploy.training.augmentation import AugmentationConfig

BETAS: dict[str, tuple[float, float]] = {"complement": (0.9, 0.999), "literal": (0.1, 0.001)}
"""Two readings of the paper's Adam betas "(0.1, 0.001)" for the weights: 1 - beta, or as they stand.

'complement', as the library of the paper's reference [4] writes them, is the default.
"""


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
    warmup: float = 0.0
    """Part of the steps in which the weights alone descend, all operations drawn evenly; the paper knows none.

    What an edge prefers while the weights are young may be chance, and what it prefers is trained more often.
    """
    sampling: Sampling = "two"
    weight_learning_rate: float = 0.025
    weight_betas: tuple[float, float] = BETAS["complement"]
    plateau_factor: float = 0.1
    plateau_epochs: int = 20
    alpha_learning_rate: float = 0.003
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    tau_start: float = 10.0
    """Temperature at the first step. The paper does not say; 10 to 0.1 is GDAS'."""
    tau_end: float = 0.1
    tau_schedule: TauSchedule = "linear"
    stop_after_stable_epochs: int | None = None
    """End early once no edge's strongest operation has changed for so many epochs; None, as in the paper: never."""
    checkpointing: bool = False
    """Compute each cell a second time for the gradients instead of keeping what lies within it: memory for time."""
    budget: Budget | None = None
    """What the found network may cost; None: whatever the loss asks for, as in the paper."""
    foreground: float = 0.5
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    num_workers: int = 0
    seed: int = 0


PRESETS: dict[str, SearchConfig] = {
    "paper": SearchConfig(num_workers=8),
    "fast": SearchConfig(
        stem_channels=16,
        num_epochs=60,
        steps_per_epoch=50,
        warmup=0.2,
        weight_learning_rate=0.01,
        alpha_learning_rate=0.01,
        stop_after_stable_epochs=15,
        num_workers=4,
    ),
    "cpu": SearchConfig(
        operations=(Operation.CONV, Operation.IDENTITY, Operation.ZERO),
        stem_channels=8,
        batch_size=2,
        num_epochs=60,
        steps_per_epoch=20,
        warmup=0.2,
        weight_learning_rate=0.01,
        alpha_learning_rate=0.02,
        tau_start=3.0,
        foreground=0.9,
    ),
}
"""'fast' has all eight operations in a narrow supernet, 3000 steps at most. 'cpu' chooses between dense convolution,
identity and zero only, and takes 1200 steps: half an hour of one core on patches of 40 x 56 x 40."""
