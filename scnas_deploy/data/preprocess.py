"""From a study to what the network sees, and the exact way back to the study's own grid.

Forward: turn to RAS -> crop to non-zero voxels -> normalise -> resample to the plan's spacing.
Back: resample the labels to the cropped grid -> put them into the uncropped one -> turn back.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from scnas_deploy.data.fingerprint import nonzero_box
from scnas_deploy.data.interpolation import interpolate, interpolation_bytes
from scnas_deploy.data.mapped import release
from scnas_deploy.data.normalisation import scaling_of
from scnas_deploy.data.orientation import AxisMapping, to_ras
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.planes import pieces
from scnas_deploy.data.resampling import (
    Grid,
    as_float32,
    image_axes,
    label_resampling_bytes,
    linear_axes,
    resample_labels,
    resample_labels_into,
    resampling_bytes,
)
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import FormatError, GeometryError
from scnas_deploy.types import ImageCXYZ, LabelsUVW, LabelsXYZ, ProbabilitiesKUVW, ProbabilitiesKXYZ, Shape3


@dataclass(frozen=True, slots=True)
class WayBack:
    """All that is needed to bring labels from the network's grid to the study's own."""

    mapping: AxisMapping
    ras_shape: Shape3
    """The study's shape after turning to RAS."""
    box: tuple[slice, slice, slice]
    """The crop, in the turned study."""
    cropped: Grid
    prepared: Grid

    @property
    def study_shape(self) -> Shape3:
        """The study's own shape."""
        return self.mapping.backward_shape(self.ras_shape)

    def restore(self, labels_XYZ: LabelsXYZ) -> LabelsUVW:
        """Bring labels from the prepared grid back to the study's own grid.

        Args:
            labels_XYZ: Shape of the prepared image.

        Returns:
            The study's shape, C-contiguous; voxels outside the crop are background. Labels that are on the study's
            grid already are returned themselves.
        """
        self._check(labels_XYZ.shape, "labels")
        turned = self.mapping.backward(labels_XYZ)
        if self.cropped == self.prepared and turned.shape == self.study_shape and turned.flags.c_contiguous:
            return turned
        whole = np.zeros(self.study_shape, dtype=labels_XYZ.dtype)
        resample_labels_into(self.crop_of(whole), labels_XYZ, self.prepared, self.cropped)
        return whole

    def restore_probabilities(self, probabilities_KXYZ: ProbabilitiesKXYZ, out_KUVW: ProbabilitiesKUVW) -> None:
        """Bring class probabilities from the prepared grid back to the study's own grid by linear interpolation.

        They sum to one within float16 precision where they did before.

        Args:
            probabilities_KXYZ: Class 0 is background; may be memory-mapped, then a class of it is in memory at a time.
            out_KUVW: Filled, class by class and plane by plane; likewise. Its shape is that of the study. Outside the
                crop all is background.
        """
        self._check(probabilities_KXYZ.shape[1:], "probabilities")
        axes = linear_axes(self.prepared, self.cropped)
        for k, (probabilities, out) in enumerate(zip(probabilities_KXYZ, out_KUVW, strict=True)):
            if self.cropped.shape != self.ras_shape:
                out[:] = k == 0
            interpolate(probabilities, axes, self.crop_of(out), scale=as_float32, bounds=(0.0, 1.0))
            release(probabilities)
            release(out)

    def follow(self, labels_XYZ: LabelsXYZ) -> LabelsUVW:
        """Bring a mask from the study's own grid to the prepared one, as training needs it."""
        return resample_labels(self.crop_of(labels_XYZ), self.cropped, self.prepared)

    def restore_bytes(self, itemsize: int) -> int:
        """Return the most that :meth:`restore` takes at its peak, the result included, for labels of so many bytes."""
        return prod(self.study_shape) * itemsize + label_resampling_bytes(self.prepared, itemsize)

    def restore_probabilities_bytes(self) -> int:
        """Return the most that :meth:`restore_probabilities` takes beyond its arguments at its peak."""
        return interpolation_bytes(linear_axes(self.prepared, self.cropped))

    def crop_of(self, voxels_XYZ: np.ndarray) -> np.ndarray:
        """Return the crop, turned to RAS, as a view of voxels on the study's own grid."""
        return self.mapping.forward(voxels_XYZ)[self.box]

    def _check(self, shape: tuple[int, ...], what: str) -> None:
        if shape != self.prepared.shape:
            raise GeometryError(
                what,
                expected=f"the prepared shape {self.prepared.shape}",
                found=f"{shape}",
                remedy=f"Pass {what} of the image that was prepared",
            )


def way_back(volume: Volume, plan: Plan) -> WayBack:
    """Say where a study's voxels go when it is prepared, without preparing it."""
    ras, mapping = to_ras(volume)
    box = nonzero_box(ras.data) if plan.crop == "nonzero" else (slice(None), slice(None), slice(None))
    _, x, y, z = ras.data[(slice(None), *box)].shape
    cropped = Grid((x, y, z), ras.spacing_mm)
    return WayBack(mapping, ras.shape, box, cropped, cropped.at_spacing(plan.spacing_mm))


def prepare(volume: Volume, plan: Plan) -> tuple[ImageCXYZ, WayBack]:
    """Prepare a study for the network.

    Returns:
        The image at the plan's spacing, RAS order, float32, and the way back.

    Raises:
        FormatError: If the channels are not the plan's, or a voxel is NaN or infinite.
    """
    check_channels(volume, plan)
    back = way_back(volume, plan)
    return prepare_along(volume, plan, back), back


def prepare_along(volume: Volume, plan: Plan, back: WayBack) -> ImageCXYZ:
    """Prepare a study, whose channels have been checked, where its voxels are known to go; see :func:`prepare`."""
    axes = image_axes(back.cropped, back.prepared)
    image = np.empty((len(plan.channels), *back.prepared.shape), dtype=np.float32)
    for stored, channel, out in zip(volume.data, plan.channels, image, strict=True):
        voxels = back.crop_of(stored)
        scaling = scaling_of(voxels, channel.normalisation)
        interpolate(voxels, axes, out, scale=scaling, bounds=scaling.bounds)
    return image


def prepare_bytes(plan: Plan, back: WayBack) -> int:
    """Return the most that :func:`prepare_along` takes beyond the study at its peak, its result included."""
    return 4 * len(plan.channels) * prod(back.prepared.shape) + resampling_bytes(back.cropped, back.prepared)


def check_channels(volume: Volume, plan: Plan) -> None:
    """Refuse a study whose channels are not the plan's, or whose voxels are not numbers.

    Raises:
        FormatError: Says which.
    """
    if volume.num_channels != len(plan.channels):
        names = ", ".join(channel.name for channel in plan.channels)
        raise FormatError(
            "study",
            expected=f"{len(plan.channels)} channel(s): {names}",
            found=f"{volume.num_channels}",
            remedy="Give one file a channel, or one 4-D file, in the plan's order",
        )
    unusable = _count_unusable(volume) if volume.data.dtype.kind == "f" else 0
    if unusable:
        raise FormatError(
            "study",
            expected="finite voxels",
            found=f"{unusable} NaN or infinite",
            remedy="Replace them at the image's source",
        )


def _count_unusable(volume: Volume) -> int:
    return sum(int(np.count_nonzero(~np.isfinite(piece))) for channel in volume.data for (piece,) in pieces(channel))
