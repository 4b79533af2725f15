"""The batches of patches that a model's engine is asked, for engines that are built for their shapes.

Legend: B patches, C channels, X Y Z voxels.
"""

from dataclasses import dataclass
from math import ceil, prod
from typing import Final

from scnas_deploy.data.plan import Plan
from scnas_deploy.inference.tiling import whole_size
from scnas_deploy.networks.genotype import Architecture, whole_multiple
from scnas_deploy.types import Shape3

ShapeBCXYZ = tuple[int, int, int, int, int]

_MOST_PATCHES: Final = 16
_MOST_VOXELS: Final = 128**3
"""Of a batch: what keeps a GPU busy. A larger one gains no speed and takes memory in proportion."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRange:
    """Shapes of the batches that a network is run on."""

    least: ShapeBCXYZ
    usual: ShapeBCXYZ
    """What to be fastest at."""
    most: ShapeBCXYZ

    @property
    def is_whole(self) -> bool:
        """Whether studies are taken whole, each of another shape."""
        return self.least[2:] != self.most[2:]

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Whether a batch has one of these shapes."""
        return len(shape) == len(self.least) and all(
            low <= size <= high for low, size, high in zip(self.least, shape, self.most, strict=True)
        )

    def __str__(self) -> str:
        low, high = (" x ".join(map(str, shape)) for shape in (self.least, self.most))
        return f"{low} to {high}"


def input_range(plan: Plan, architecture: Architecture) -> InputRange:
    """Return the batches that a model is asked: patches of one size, or single whole studies up to the plan's limits.

    Args:
        plan: With the model's effective patch size.
        architecture: Of the model.
    """
    channels, patch, multiple = len(plan.channels), plan.patch_size, whole_multiple(architecture)
    if multiple is None:
        batch = max(1, min(_MOST_PATCHES, _MOST_VOXELS // prod(patch)))
        largest = (batch, channels, *patch)
        return InputRange(least=(1, channels, *patch), usual=largest, most=largest)
    smallest = (1, channels, *whole_size(patch, patch, multiple))
    return InputRange(
        least=smallest, usual=smallest, most=(1, channels, *whole_size(_largest_study(plan), patch, multiple))
    )


def _largest_study(plan: Plan) -> Shape3:
    """Voxels along X, Y, Z of the largest study that is not refused."""
    extents = zip(plan.limits.extent_mm, plan.spacing_mm, strict=True)
    x, y, z = (ceil(highest / spacing) for (_, highest), spacing in extents)
    return x, y, z
