"""How a RONASMIS search is run."""

from dataclasses import dataclass, field

from scnas_deploy.training.augmentation import AugmentationConfig

FLIPS_ONLY = AugmentationConfig(p_elastic=0, p_scaling=0, p_rotation=0, p_gamma=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RonasmisConfig:
    """Bae et al. 2019 (MICCAI, arXiv 1909.00548) as far as it is known; the rest is said to be ours.

    Children an episode, the reward and the horizontal flip are summaries of the paper; width, episodes and the
    controller's figures are a re-implementation's. Ours: batch size, the weights' Adam with a rate that decays to
    zero, and how many steps a child takes.
    """

    stem_channels: int = 32
    batch_size: int = 2
    num_epochs: int = 150
    """Episodes; the controller learns once in each."""
    steps_per_epoch: int = 20
    """Children an episode."""
    steps_per_child: int | None = None
    """Steps on the shared weights; None: so many that the children of an episode see every training case once."""
    weight_learning_rate: float = 1e-3
    controller_learning_rate: float = 1e-3
    entropy_weight: float = 1e-4
    baseline_decay: float = 0.95
    reward_cases: int | None = None
    """Cases on which a child is rewarded; None: all that are kept for it, a fifth of the training cases."""
    final_children: int = 20
    """Children drawn after the last episode, of which the best is the result."""
    foreground: float = 0.5
    augmentation: AugmentationConfig = field(default_factory=lambda: FLIPS_ONLY)
    """Of which only the flip along the first axis is taken, where the plan allows it."""
    num_workers: int = 0
    seed: int = 0


RONASMIS_PRESETS: dict[str, RonasmisConfig] = {
    "paper": RonasmisConfig(num_workers=8),
    "fast": RonasmisConfig(stem_channels=16, num_epochs=60, weight_learning_rate=2e-3, num_workers=4),
    "cpu": RonasmisConfig(
        stem_channels=8,
        num_epochs=30,
        steps_per_child=3,
        weight_learning_rate=4e-3,
        controller_learning_rate=1e-2,
        reward_cases=4,
        foreground=0.9,
    ),
}
"""'fast' is narrower and shorter than 'paper'; 'cpu' takes 1800 steps on the weights and rewards on four cases."""
