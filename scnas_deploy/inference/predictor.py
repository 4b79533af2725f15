"""From a prepared image to labels, patch by patch.

Legend: K classes, X Y Z voxels in NIfTI order.

The patches are swept along the longest axis. Logits are kept only for one patch's depth along it; what no
later patch touches is reduced to labels at once, so memory grows with the volume's cross-section and not
with its length.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from scnas_deploy.data.plan import Plan
from scnas_deploy.errors import EngineError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.tiling import AxisTiling, TilingConfig, padding, tile_axis, whole_size
from scnas_deploy.types import ImageCXYZ, LabelsXYZ, LogitsKXYZ, Shape3

Progress = Callable[[int, int], None]
"""Called with patches done and patches in all; may raise to stop the run."""


class Predictor:
    """Runs an engine over whole volumes.

    Args:
        engine: Answers batches of patches.
        plan: Patch size and label values.
        overlap: Least part of a patch that the next one covers again.
        whole_multiple: For a network that takes whole volumes at once: their voxels along each axis must be a multiple
            of this. None sweeps patches.
    """

    def __init__(self, engine: Engine, plan: Plan, *, overlap: float = 0.5, whole_multiple: int | None = None) -> None:
        self._engine, self._plan = engine, plan
        self._overlap, self._whole_multiple = overlap, whole_multiple

    def predict(self, image_CXYZ: ImageCXYZ, progress: Progress | None = None) -> LabelsXYZ:
        """Segment a prepared image.

        Args:
            image_CXYZ: From :func:`scnas_deploy.data.preprocess.prepare`.
            progress: Called after each batch of patches.

        Returns:
            Label values of the plan, uint8 (uint16 where a value exceeds 255), of the image's shape.

        Raises:
            EngineError: If the engine answers with NaN or infinite logits.
        """
        tiling = TilingConfig(patch_size=self._patch_size(image_CXYZ.shape[1:]), overlap=self._overlap)
        pads = padding(image_CXYZ.shape[1:], tiling.patch_size)
        padded = np.pad(image_CXYZ, ((0, 0), *pads)) if any(map(any, pads)) else image_CXYZ
        classes = self._sweep(padded, tiling, progress)
        inside = tuple(slice(before, before + n) for (before, _), n in zip(pads, image_CXYZ.shape[1:], strict=True))
        labels: LabelsXYZ = label_values(self._plan)[classes[inside]]
        return labels

    def _patch_size(self, shape: Shape3) -> Shape3:
        """The plan's, or what holds the whole volume."""
        if self._whole_multiple is None:
            return self._plan.patch_size
        return whole_size(shape, self._plan.patch_size, self._whole_multiple)

    def _sweep(self, image_CXYZ: ImageCXYZ, tiling: TilingConfig, progress: Progress | None) -> np.ndarray:
        _, x, y, z = image_CXYZ.shape
        shape = (x, y, z)
        axis = int(np.argmax(shape))
        axes = [tile_axis(n, patch, tiling) for n, patch in zip(shape, tiling.patch_size, strict=True)]
        slab = _Slab(self._plan.num_classes, shape, axis, tiling.patch_size[axis])
        classes = np.empty(shape, dtype=np.uint16)
        done, total = 0, len(axes[0].starts) * len(axes[1].starts) * len(axes[2].starts)
        starts = axes[axis].starts
        for row, (start, following) in enumerate(zip(starts, (*starts[1:], shape[axis]), strict=True)):
            for batch in _batches(axes, axis, row, self._engine.preferred_batch):
                self._run_batch(image_CXYZ, batch, axes, slab)
                done += len(batch)
                if progress is not None:
                    progress(done, total)
            slab.flush(following - start, out=classes[_along(axis, slice(start, following))])
        return classes

    def _run_batch(self, image_CXYZ: ImageCXYZ, batch: list[Shape3], axes: list[AxisTiling], slab: "_Slab") -> None:
        size = [tiling.weights_PN.shape[1] for tiling in axes]
        boxes = []
        for place in batch:
            first = [axes[axis].starts[index] for axis, index in enumerate(place)]
            boxes.append(tuple(slice(start, start + n) for start, n in zip(first, size, strict=True)))
        patches = np.stack([image_CXYZ[(slice(None), *box)] for box in boxes])
        logits = self._engine.run(patches)
        if not np.isfinite(logits).all():
            raise EngineError(
                self._engine.name,
                expected="finite logits",
                found="NaN or infinity",
                remedy="Run another engine or precision (--engine) and report the model",
            )
        for place, box, patch_logits in zip(batch, boxes, logits, strict=True):
            weights = [axes[axis].weights_PN[index] for axis, index in enumerate(place)]
            slab.add(box, patch_logits, weights)


class _Slab:
    """Blended logits of the planes that later patches still touch."""

    def __init__(self, num_classes: int, shape: Shape3, axis: int, depth: int) -> None:
        extent = list(shape)
        extent[axis] = depth
        self._axis = axis
        self._logits_KXYZ: LogitsKXYZ = np.zeros((num_classes, *extent), dtype=np.float32)

    def add(self, box: tuple[slice, ...], logits_KXYZ: LogitsKXYZ, weights: list[np.ndarray]) -> None:
        """Add one patch; the slab starts where the patch does along the sweep."""
        wx, wy, wz = weights
        weighted = logits_KXYZ * (wx[:, None, None] * (wy[:, None] * wz))
        within = list(box)
        within[self._axis] = slice(None)
        self._logits_KXYZ[(slice(None), *within)] += weighted

    def flush(self, planes: int, out: np.ndarray) -> None:
        """Reduce the first planes to classes and move the rest to the front."""
        logits = self._logits_KXYZ
        depth = logits.shape[self._axis + 1]
        out[:] = logits[(slice(None), *_along(self._axis, slice(0, planes)))].argmax(axis=0)
        kept = logits[(slice(None), *_along(self._axis, slice(planes, depth)))].copy()
        logits[:] = 0
        logits[(slice(None), *_along(self._axis, slice(0, depth - planes)))] = kept


def label_values(plan: Plan) -> np.ndarray:
    """Class index -> label value, in the smallest type that holds all values."""
    dtype = np.uint8 if max(plan.class_values) < 256 else np.uint16
    return np.array(plan.class_values, dtype=dtype)


def _batches(axes: list[AxisTiling], axis: int, row: int, size: int) -> Iterator[list[Shape3]]:
    """All patches at one position along the sweep, in batches."""
    ranges = [range(len(tiling.starts)) for tiling in axes]
    ranges[axis] = range(row, row + 1)
    places = [(x, y, z) for x, y, z in product(*ranges)]
    for first in range(0, len(places), size):
        yield places[first : first + size]


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if other == axis else slice(None) for other in range(3))
