"""Mirroring at test time (PAPER: SCNAS, section 3; nnU-Net)."""

from itertools import chain, combinations

import numpy as np

from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


class MirroringEngine:
    """Averages an engine's logits over all mirror images of a patch, each turned back.

    Args:
        engine: The engine that computes.
        axes: Voxel axes to mirror, of 0, 1 and 2; those that the plan names, since mirroring exchanges left and right.
    """

    def __init__(self, engine: Engine, axes: tuple[int, ...]) -> None:
        self._engine = engine
        subsets = chain.from_iterable(combinations(axes, size) for size in range(len(axes) + 1))
        self._flips = [tuple(axis + 2 for axis in subset) for subset in subsets]
        self.name = f"{engine.name}, mirrored {len(self._flips)} ways"
        self.precision, self.device = engine.precision, engine.device
        self.preferred_batch, self.concurrency = engine.preferred_batch, engine.concurrency

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer the mean over the mirror images, of which one is held beside the sum at a time."""
        unturned, *flips = self._flips
        total: LogitsBKXYZ = np.array(self._run_flipped(patches_BCXYZ, unturned))  # an engine's own may be read-only
        for flip in flips:
            total += self._run_flipped(patches_BCXYZ, flip)
        total /= np.float32(len(self._flips))
        return total

    def _run_flipped(self, patches_BCXYZ: PatchesBCXYZ, flip: tuple[int, ...]) -> LogitsBKXYZ:
        return np.flip(self._engine.run(np.ascontiguousarray(np.flip(patches_BCXYZ, flip))), flip)
