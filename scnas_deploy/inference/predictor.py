"""From a prepared image to labels, patch by patch.

Legend: C channels, K classes, X Y Z voxels in NIfTI order.

The patches are swept along the longest axis. Logits are kept only for one patch's depth along it; what no
later patch touches is reduced to labels at once, so memory grows with the volume's cross-section and not
with its length. Where that is too much, the cross-section is swept column by column.
"""

from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Final

import numpy as np

from scnas_deploy.data.occupancy import Occupancy
from scnas_deploy.data.plan import Plan
from scnas_deploy.inference.boxes import Box, meet, size_of, within
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.mirroring import MirroringEngine
from scnas_deploy.inference.pipeline import Caller, calls_ahead
from scnas_deploy.inference.reducing import PIECE_VOXELS, Reducer, Result
from scnas_deploy.inference.sweep import Patch, Sweep, sweeps
from scnas_deploy.inference.tiling import TilingConfig, padding, whole_size
from scnas_deploy.types import ImageCUVW, ImageCXYZ, LabelsXYZ, Shape3

Progress = Callable[[int, int], None]
"""Called with patches done and patches in all, after each patch; may raise to stop the run."""

_PIECE_BYTES_PER_VOXEL: Final = 12
"""Labels: a float32, a 16-bit class, a comparison and label values, with a margin."""

_FLOAT, _HALF = 4, 2


class Predictor:
    """Runs an engine over whole volumes.

    Args:
        engine: Answers batches of patches.
        plan: Patch size and label values.
        overlap: Least part of a patch that the next one covers again.
        whole_multiple: For a network that takes whole volumes at once: their voxels along each axis must be a multiple
            of this. None sweeps patches.
        batch: Patches of a call.
    """

    def __init__(
        self, engine: Engine, plan: Plan, *, overlap: float = 0.5, whole_multiple: int | None = None, batch: int = 1
    ) -> None:
        self.engine, self.batch = engine, batch
        self._plan, self._overlap, self._whole_multiple = plan, overlap, whole_multiple
        self._caller = Caller(engine, batch)

    @property
    def whole(self) -> bool:
        """Whether the network takes whole volumes at once."""
        return self._whole_multiple is not None

    def on(self, engine: Engine) -> "Predictor":
        """The same on another engine."""
        return Predictor(
            engine, self._plan, overlap=self._overlap, whole_multiple=self._whole_multiple, batch=self.batch
        )

    def sweeps(self, shape: Shape3) -> list[Sweep]:
        """All ways to sweep an image of that shape, the one with the fewest patches first."""
        patch_size = self._patch_size(shape)
        config = TilingConfig(patch_size=patch_size, overlap=self._overlap)
        x, y, z = (max(n, patch) for n, patch in zip(shape, patch_size, strict=True))
        return sweeps((x, y, z), config)

    def needed_bytes(self, sweep: Sweep, *, probabilities: bool = False) -> int:
        """What :meth:`predict` takes beside the image and the engine: labels, logits under way, calls under way."""
        classes, x, y, z = self._plan.num_classes, *sweep.shape
        patch = int(np.prod([tiling.weights_PN.shape[1] for tiling in sweep.axes]))
        calls = calls_ahead(self.engine)
        if isinstance(self.engine, MirroringEngine):  # holds a turned patch and its answer beside the sum
            calls += self.engine.concurrency
        tensors = calls * self.batch * (len(self._plan.channels) + classes)
        per_voxel = _PIECE_BYTES_PER_VOXEL + (2 * _FLOAT + _HALF) * classes * probabilities
        return (
            label_values(self._plan).itemsize * x * y * z
            + sweep.slab_bytes(classes)
            + _FLOAT * patch * (tensors + 2)  # blending: weights and a product
            + per_voxel * min(PIECE_VOXELS, x * y * z)
        )

    def predict(
        self,
        image_CXYZ: ImageCXYZ,
        progress: Progress | None = None,
        *,
        sweep: Sweep | None = None,
        occupancy: Occupancy | None = None,
        probabilities_KXYZ: np.ndarray | None = None,
    ) -> LabelsXYZ:
        """Segment a prepared image.

        Args:
            image_CXYZ: From :func:`scnas_deploy.data.preprocess.prepare`.
            progress: Called after each patch.
            sweep: One of :meth:`sweeps`; None for the one with the fewest patches.
            occupancy: Says which patches hold nothing; those are background and not computed. None computes all.
            probabilities_KXYZ: Takes each class' probability, float16, of the image's shape.

        Returns:
            Label values of the plan, uint8 (uint16 where a value exceeds 255), of the image's shape.

        Raises:
            EngineError: If the engine fails or answers with NaN or infinite logits.
        """
        shape = image_CXYZ.shape[1:]
        chosen = sweep or self.sweeps(shape)[0]
        values = label_values(self._plan)
        labels_XYZ: LabelsXYZ = np.empty(shape, dtype=values.dtype)
        result = Result(labels_XYZ, values, _place(shape, chosen.shape), probabilities_KXYZ)
        reducer, total = Reducer(chosen, self._plan.num_classes, result), chosen.num_patches

        def cut(patch: Patch) -> ImageCXYZ | None:
            return _cut(image_CXYZ, patch.box, result.image, occupancy)

        with closing(self._caller.answers(chosen.patches(), cut)) as answered:
            done = count(1)
            for patch, logits_KXYZ in answered:
                reducer.add(patch, logits_KXYZ)
                del logits_KXYZ  # or they would be held while the next ones come
                if progress is not None:
                    progress(next(done), total)
        reducer.finish()
        return labels_XYZ

    def _patch_size(self, shape: Shape3) -> Shape3:
        """The plan's, or what holds the whole volume."""
        if self._whole_multiple is None:
            return self._plan.patch_size
        return whole_size(shape, self._plan.patch_size, self._whole_multiple)


def label_values(plan: Plan) -> np.ndarray:
    """Class index -> label value, in the smallest type that holds all values."""
    dtype = np.uint8 if max(plan.class_values) < 256 else np.uint16
    return np.array(plan.class_values, dtype=dtype)


def _place(shape: Shape3, swept: Shape3) -> Box:
    """Where an image lies in the volume that is swept, in its middle where that is larger."""
    x, y, z = (slice(before, before + n) for (before, _), n in zip(padding(shape, swept), shape, strict=True))
    return x, y, z


def _cut(image_CXYZ: ImageCXYZ, patch: Box, place: Box, occupancy: Occupancy | None) -> ImageCUVW | None:
    """A patch's voxels, zeros beyond the image; None where the image holds nothing there."""
    inside = meet(patch, place)
    part = within(inside, place)
    if occupancy is not None and occupancy.is_empty(part):
        return None
    image_part_CXYZ = image_CXYZ[(slice(None), *part)]
    if inside == patch:
        return image_part_CXYZ
    padded_CXYZ = np.zeros((len(image_CXYZ), *size_of(patch)), dtype=np.float32)
    padded_CXYZ[(slice(None), *within(inside, patch))] = image_part_CXYZ
    return padded_CXYZ
