"""RONASMIS' choices: what the controller decides, one decision after another.

Bae et al. 2019 (MICCAI, arXiv 1909.00548). Patch sizes follow its formula, with S the stride of a stage: in the plane
floor(max(H, W) / S^4) * S^4 - S^4 * {0..4}, in depth the same of D, as far as at least S^4 voxels remain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from scnas_deploy.errors import ConfigError
from scnas_deploy.networks.ronasmis_settings import NUM_STAGES, SKIPS, Activation, RonasmisArchitecture
from scnas_deploy.types import Shape3

STEP: Final = 16
"""S^4 voxels, with S = 2."""
_MAX_SIZES: Final = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to choose."""

    name: str
    options: tuple[Any, ...]


class RonasmisSpace:
    """The decisions for one dataset.

    Args:
        patch_size: The plan's, voxels along X, Y, Z; stands for the H, W and D of the formula.
        stem_channels: Width of every network.

    Raises:
        ConfigError: If the patches are too small for the formula.
    """

    def __init__(self, patch_size: Shape3, stem_channels: int) -> None:
        self._stem_channels = stem_channels
        in_plane, depth = max(patch_size[:2]), patch_size[2]
        self.decisions: tuple[Decision, ...] = (
            Decision("patch in the plane", _sizes(in_plane)),
            Decision("patch in depth", _sizes(depth)),
            *(Decision(f"stride before stage {stage}", (1, 2)) for stage in (3, 4)),
            *(Decision(f"dilation of stage {stage}", (1, 2, 3)) for stage in (2, 3, 4)),
            Decision("activation", tuple(Activation)),
            *(Decision(f"skip {encoder + 1} to {decoder + 1}", (False, True)) for encoder, decoder in SKIPS),
            *(Decision(f"path {stage + 1} dropped", (False, True)) for stage in range(NUM_STAGES)),
        )

    @property
    def num_options(self) -> tuple[int, ...]:
        """How many options each decision has."""
        return tuple(len(decision.options) for decision in self.decisions)

    @property
    def largest_patch(self) -> Shape3:
        """The largest patch size among the options, voxels."""
        in_plane, depth = (max(decision.options) for decision in self.decisions[:2])
        return in_plane, in_plane, depth

    def architecture(self, chosen: Sequence[int]) -> RonasmisArchitecture:
        """Return the architecture of a sequence of option indices, one a decision."""
        values = iter(decision.options[index] for decision, index in zip(self.decisions, chosen, strict=True))
        in_plane, depth = next(values), next(values)
        return RonasmisArchitecture(
            patch_size=(in_plane, in_plane, depth),
            strides=(2, next(values), next(values)),
            dilations=(next(values), next(values), next(values)),
            activation=next(values),
            skips=tuple(next(values) for _ in SKIPS),
            dropped=tuple(next(values) for _ in range(NUM_STAGES)),
            stem_channels=self._stem_channels,
        )

    def everything(self) -> RonasmisArchitecture:
        """Return the architecture that holds all others: every skip, nothing dropped."""
        return RonasmisArchitecture(
            patch_size=self.largest_patch,
            strides=(2, 2, 2),
            dilations=(1, 1, 1),
            activation=Activation.RELU,
            skips=(True,) * len(SKIPS),
            dropped=(False,) * NUM_STAGES,
            stem_channels=self._stem_channels,
        )


def _sizes(extent: int) -> tuple[int, ...]:
    if extent < STEP:
        raise ConfigError(
            "--space ronasmis",
            expected=f"patches of at least {STEP} voxels a side",
            found=f"{extent}",
            remedy="Use --space scnas, or a plan with a finer spacing",
        )
    largest = extent // STEP * STEP
    return tuple(largest - STEP * index for index in range(_MAX_SIZES) if largest - STEP * index >= STEP)
