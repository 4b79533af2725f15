"""From patches' logits to labels, plane by plane: only what a later patch still touches is held as logits.

Legend: K classes, X Y Z voxels in NIfTI order.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.data.mapped import release
from scnas_deploy.inference.boxes import Box, meet, size_of, touch, whole, with_part, within
from scnas_deploy.inference.sweep import Patch, Sweep
from scnas_deploy.types import LabelsXYZ, LogitsKXYZ

PIECE_VOXELS: Final = 1 << 20
"""Logits are reduced about so many voxels at a time, so that what it takes beside them stays small."""


@dataclass(frozen=True, slots=True)
class Result:
    """Where finished voxels are written."""

    labels_XYZ: LabelsXYZ
    """Of the image's shape."""
    values: np.ndarray
    """Label value of each class, of the labels' type."""
    image: Box
    """Where the image lies in the volume that is swept, which is padded where a patch is longer than the image."""
    probabilities_KXYZ: np.ndarray | None = None
    """float16, of the image's shape; None where nobody asked for them."""

    def write(self, box: Box, logits_KXYZ: LogitsKXYZ, empty: list[Box]) -> None:
        """Reduce a piece of the swept volume: empty patches are background, what lies beyond the image is dropped."""
        if not touch(box, self.image):
            return
        inside = meet(box, self.image)
        target = within(inside, self.image)
        background = [within(meet(inside, patch), inside) for patch in empty if touch(inside, patch)]
        logits_KXYZ = logits_KXYZ[(slice(None), *within(inside, box))]
        classes_XYZ = strongest_class(logits_KXYZ)
        for part in background:
            classes_XYZ[part] = 0
        self.labels_XYZ[target] = self.values[classes_XYZ]
        if self.probabilities_KXYZ is not None:
            probabilities_KXYZ = softmax(logits_KXYZ)
            for part in background:
                probabilities_KXYZ[(slice(None), *part)] = 0
                probabilities_KXYZ[(0, *part)] = 1
            self.probabilities_KXYZ[(slice(None), *target)] = probabilities_KXYZ
            release(self.probabilities_KXYZ)


class Reducer:
    """Blends patches in the order of a sweep and writes out what is finished.

    Args:
        sweep: The order in which patches come.
        num_classes: Classes, background included.
        result: Takes the finished voxels.
    """

    def __init__(self, sweep: Sweep, num_classes: int, result: Result) -> None:
        self._sweep, self._num_classes, self._result = sweep, num_classes, result
        self._number = 0
        self._column = _Column(sweep, 0, num_classes, result)

    def add(self, patch: Patch, logits_KXYZ: LogitsKXYZ | None) -> None:
        """Take the next patch's answer; None says that all of it is background."""
        if patch.column != self._number:
            self.finish()
            del self._column  # its memory goes before the next one's comes
            self._number = patch.column
            self._column = _Column(self._sweep, patch.column, self._num_classes, self._result)
        self._column.add(patch, logits_KXYZ)

    def finish(self) -> None:
        """Write out what is left."""
        self._column.finish()


class _Column:
    """Blends the patches of one column and writes out the planes that no later patch touches."""

    def __init__(self, sweep: Sweep, column: int, num_classes: int, result: Result) -> None:
        self._axis, self._rows, self._column, self._result = sweep.axis, sweep.rows(), sweep.columns[column], result
        slab = with_part(self._column, self._axis, slice(0, sweep.depth))
        self._slab_KXYZ: LogitsKXYZ = np.zeros((num_classes, *size_of(slab)), dtype=np.float32)
        self._row = 0
        self._empty: list[Box] = []

    def add(self, patch: Patch, logits_KXYZ: LogitsKXYZ | None) -> None:
        """Take the next patch's answer; None says that all of it is background."""
        while self._row < patch.row:
            self._write_row()
        if logits_KXYZ is None:
            self._empty.append(patch.box)
            return
        target, source = self._overlap(patch.box)
        wx, wy, wz = (weights[part] for weights, part in zip(patch.weights, source, strict=True))
        weight_XYZ = wx[:, None, None] * (wy[:, None] * wz)
        for blended_XYZ, logits_XYZ in zip(self._slab_KXYZ, logits_KXYZ, strict=True):
            blended_XYZ[target] += logits_XYZ[source] * weight_XYZ

    def finish(self) -> None:
        """Write out what is left."""
        while self._row < len(self._rows):
            self._write_row()

    def _overlap(self, patch: Box) -> tuple[Box, Box]:
        """Where patch and column meet: in the slab, which begins where the patch does, and in the patch."""
        met = meet(self._column, patch)
        return within(met, with_part(self._column, self._axis, patch[self._axis])), within(met, patch)

    def _write_row(self) -> None:
        planes = self._rows[self._row]
        count = planes.stop - planes.start
        step = max(1, PIECE_VOXELS * self._slab_KXYZ.shape[self._axis + 1] // self._slab_KXYZ[0].size)
        for first in range(0, count, step):
            stop = min(first + step, count)
            box = with_part(self._column, self._axis, slice(planes.start + first, planes.start + stop))
            self._result.write(box, self._planes(first, stop), self._empty)
        self._move_up(count)
        self._empty = [box for box in self._empty if box[self._axis].stop > planes.stop]
        self._row += 1

    def _move_up(self, count: int) -> None:
        """Drop the first planes; the others move to the front, one class at a time, for NumPy copies what overlaps."""
        for logits_XYZ in np.moveaxis(self._slab_KXYZ, self._axis + 1, 1):
            logits_XYZ[: len(logits_XYZ) - count] = logits_XYZ[count:]
            logits_XYZ[len(logits_XYZ) - count :] = 0

    def _planes(self, first: int, stop: int) -> LogitsKXYZ:
        _, x, y, z = self._slab_KXYZ.shape
        return self._slab_KXYZ[(slice(None), *with_part(whole((x, y, z)), self._axis, slice(first, stop)))]


def strongest_class(logits_KXYZ: LogitsKXYZ) -> np.ndarray:
    """Index of each voxel's largest logit, the first of equals; without argmax' 64-bit indices and transposed copy."""
    best_XYZ = logits_KXYZ[0].copy()
    classes_XYZ = np.zeros(best_XYZ.shape, dtype=np.uint16)
    for index, logits_XYZ in enumerate(logits_KXYZ[1:], start=1):
        stronger_XYZ = logits_XYZ > best_XYZ
        np.copyto(classes_XYZ, np.uint16(index), where=stronger_XYZ)
        np.copyto(best_XYZ, logits_XYZ, where=stronger_XYZ)
    return classes_XYZ


def softmax(logits_KXYZ: LogitsKXYZ) -> np.ndarray:
    """Each class' probability, float16."""
    shifted_KXYZ = logits_KXYZ - logits_KXYZ.max(axis=0)
    np.exp(shifted_KXYZ, out=shifted_KXYZ)
    shifted_KXYZ /= shifted_KXYZ.sum(axis=0)
    probabilities: np.ndarray = shifted_KXYZ.astype(np.float16)
    return probabilities
