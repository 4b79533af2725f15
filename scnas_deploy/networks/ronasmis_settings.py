"""What RONASMIS searches, as a frozen value. Torch-free.

Bae et al. 2019 (MICCAI, arXiv 1909.00548) search the macro structure of a U-Net: patch size, pooling strides,
dilations, activation, skip connections and dropped paths. The lists of choices are those of a re-implementation,
not facts of the paper. Ours to choose, since neither says it: which pairs of stages a skip connection may join,
and that a dropped path is the second convolution of an encoder stage.
"""

import json
from enum import StrEnum
from itertools import accumulate
from operator import mul
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveInt

from scnas_deploy.documents import Frozen
from scnas_deploy.files import sha256_of

NUM_STAGES: Final = 4
"""Stages of the encoder; the decoder has one for each but the lowest."""

SKIPS: Final = tuple((encoder, decoder) for decoder in range(NUM_STAGES - 1) for encoder in range(decoder + 1))
"""(encoder stage, decoder stage) of the six possible skip connections: from the same stage or a finer one."""


class Activation(StrEnum):
    """The activation of the whole network."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"
    ELU = "elu"


class RonasmisArchitecture(Frozen):
    """A network of RONASMIS' space."""

    kind: Literal["ronasmis"] = "ronasmis"
    patch_size: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Voxels along X, Y, Z of the patches it is trained on; it answers whole volumes."""
    strides: tuple[Literal[2], Literal[1, 2], Literal[1, 2]]
    """Pooling before the second, third and fourth stage."""
    dilations: tuple[Literal[1, 2, 3], Literal[1, 2, 3], Literal[1, 2, 3]]
    """Of the second, third and fourth stage; the first has none."""
    activation: Activation
    skips: Annotated[tuple[bool, ...], Field(min_length=len(SKIPS), max_length=len(SKIPS))]
    """Which of :data:`SKIPS` exist."""
    dropped: Annotated[tuple[bool, ...], Field(min_length=NUM_STAGES, max_length=NUM_STAGES)]
    """Encoder stages whose second convolution is a zero operation."""
    stem_channels: PositiveInt = 32
    """Channels at full resolution; each stage doubles them."""

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Voxels of the image to one of each stage, along an axis."""
        return tuple(accumulate((1, *self.strides), mul))

    @property
    def structure_hash(self) -> str:
        """SHA-256 of what the search found, the same at every width."""
        found = self.model_dump(mode="json", exclude={"stem_channels"})
        return sha256_of(json.dumps(found, sort_keys=True).encode())

    def with_stem(self, stem_channels: int) -> "RonasmisArchitecture":
        """Return the same structure at another width."""
        return self.model_copy(update={"stem_channels": stem_channels})
