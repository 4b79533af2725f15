"""From a study to what the network sees, and the exact way back to the study's own grid.

Forward: turn to RAS -> crop to non-zero voxels -> normalise -> resample to the plan's spacing.
Back: resample the labels to the cropped grid -> put them into the uncropped one -> turn back.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from scnas_deploy.data.fingerprint import nonzero_box
from scnas_deploy.data.orientation import AxisMapping, to_ras
from scnas_deploy.data.plan import Normalisation, Plan, ZScore
from scnas_deploy.data.resampling import Grid, resample_image, resample_labels
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import FormatError, GeometryError
from scnas_deploy.types import ImageCXYZ, LabelsUVW, LabelsXYZ, Shape3, VoxelsXYZ


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
        x, y, z = self.mapping.backward(np.empty(self.ras_shape, dtype=bool)).shape
        return x, y, z

    @property
    def num_prepared(self) -> int:
        """Voxels of the prepared grid."""
        return prod(self.prepared.shape)

    def restore(self, labels_XYZ: LabelsXYZ) -> LabelsUVW:
        """Bring labels from the prepared grid back to the study's own grid.

        Args:
            labels_XYZ: Shape of the prepared image.

        Returns:
            The study's shape; voxels outside the crop are background.
        """
        if labels_XYZ.shape != self.prepared.shape:
            raise GeometryError(
                "labels",
                expected=f"the prepared shape {self.prepared.shape}",
                found=f"{labels_XYZ.shape}",
                remedy="Pass labels of the image that was prepared",
            )
        whole = np.zeros(self.ras_shape, dtype=labels_XYZ.dtype)
        whole[self.box] = resample_labels(labels_XYZ, self.prepared, self.cropped)
        return np.ascontiguousarray(self.mapping.backward(whole))

    def follow(self, labels_XYZ: LabelsXYZ) -> LabelsUVW:
        """Bring a mask from the study's own grid to the prepared one, as training needs it."""
        turned = self.mapping.forward(labels_XYZ)
        return resample_labels(turned[self.box], self.cropped, self.prepared)


def prepare(volume: Volume, plan: Plan) -> tuple[ImageCXYZ, WayBack]:
    """Prepare a study for the network.

    Returns:
        The image at the plan's spacing, RAS order, float32, and the way back.

    Raises:
        FormatError: If the channels are not the plan's, or a voxel is NaN or infinite.
    """
    check_channels(volume, plan)
    way = find_way(volume, plan)
    return prepare_along(volume, plan, way), way


def find_way(volume: Volume, plan: Plan) -> WayBack:
    """Say how a study will be turned, cropped and resampled, without touching its voxels."""
    ras, mapping = to_ras(volume)
    whole = (slice(0, ras.shape[0]), slice(0, ras.shape[1]), slice(0, ras.shape[2]))
    box = nonzero_box(ras.data) if plan.crop == "nonzero" else whole
    x, y, z = (part.stop - part.start for part in box)
    cropped = Grid((x, y, z), ras.spacing_mm)
    return WayBack(mapping, ras.shape, box, cropped, cropped.at_spacing(plan.spacing_mm))


def prepare_along(volume: Volume, plan: Plan, way: WayBack) -> ImageCXYZ:
    """Prepare a study, whose channels have been checked, on the way that was found for it."""
    cropped_data = way.mapping.forward(volume.data)[(slice(None), *way.box)]
    normalised = np.stack(
        [normalise(data, channel.normalisation) for data, channel in zip(cropped_data, plan.channels, strict=True)]
    )
    return resample_image(normalised, way.cropped, way.prepared)


def prepare_bytes(volume: Volume, way: WayBack, plan: Plan) -> int:
    """TEMPORARY."""
    return 16 * way.num_prepared * len(plan.channels) + volume.data.nbytes


def restore_bytes(way: WayBack, itemsize: int) -> int:
    """TEMPORARY."""
    return itemsize * prod(way.ras_shape)


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
    if volume.data.dtype.kind == "f" and not np.isfinite(volume.data).all():
        raise FormatError(
            "study",
            expected="finite voxels",
            found=f"{int((~np.isfinite(volume.data)).sum())} NaN or infinite",
            remedy="Replace them at the image's source",
        )


def normalise(voxels_XYZ: VoxelsXYZ, normalisation: Normalisation) -> np.ndarray:
    """Normalise one channel; returns float32 of the same shape."""
    values = voxels_XYZ.astype(np.float32)
    if isinstance(normalisation, ZScore):
        inside = values[values != 0]
        mean, std = (
            (float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64))) if inside.size else (0.0, 1.0)
        )
        return (values - np.float32(mean)) / np.float32(max(std, 1e-8))
    np.clip(values, normalisation.low, normalisation.high, out=values)
    return (values - np.float32(normalisation.mean)) / np.float32(normalisation.std)
