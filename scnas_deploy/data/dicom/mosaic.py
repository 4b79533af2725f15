"""Splitting Siemens mosaics: the slices of a volume, side by side in one plane.

The object's position is that of a plane as large as the mosaic around the first slice's centre, its order of slices
that of the normal in Siemens' own header (CSA); how they lie is as nibabel and dcm2niix read it.
"""

from dataclasses import replace
from math import ceil, sqrt
from typing import Any

import numpy as np

from scnas_deploy.data.dicom.attributes import number
from scnas_deploy.data.dicom.frames import Frame
from scnas_deploy.data.dicom.headers import UnreadableError, read_header
from scnas_deploy.data.dicom.instances import Instance
from scnas_deploy.data.dicom.library import csareader


def split(instance: Instance) -> Instance:
    """Make a mosaic's slices frames of their own.

    Raises:
        UnreadableError: If Siemens' header does not say how many there are, and which way they follow each other.
    """
    if not instance.mosaic:
        return instance
    dataset = read_header(instance.source).dataset
    count, normal = _csa(dataset)
    tiles = ceil(sqrt(count))
    columns, rows = instance.shape
    if columns % tiles or rows % tiles:
        raise UnreadableError(f"a mosaic of {columns} x {rows} pixels, but {count} slices")
    frames = _slices(instance.frames[0], count, (columns, rows), tiles, normal * _distance_mm(dataset))
    return replace(instance, shape=(columns // tiles, rows // tiles), frames=frames, mosaic=False, tiles=tiles)


def _csa(dataset: Any) -> tuple[int, np.ndarray]:
    """Number of slices, and the unit vector in which they follow each other, LPS+."""
    reader = csareader()
    try:
        header = reader.get_csa_header(dataset, "image")
        count = None if header is None else reader.get_n_mosaic(header)
        normal = None if header is None else reader.get_slice_normal(header)
    except Exception as error:  # the library's checks are assertions, among others
        raise UnreadableError("a damaged Siemens header") from error
    if not count or normal is None or len(normal) != 3 or not np.isfinite(normal).all():
        raise UnreadableError("a mosaic without the Siemens header that says how it is made")
    return int(count), np.asarray(normal, dtype=np.float64)


def _distance_mm(dataset: Any) -> float:
    distance = number(dataset, "SpacingBetweenSlices", number(dataset, "SliceThickness", 0.0))
    if distance <= 0:
        raise UnreadableError("a mosaic without a distance between its slices")
    return distance


def _slices(plane: Frame, count: int, size: tuple[int, int], tiles: int, step_mm: np.ndarray) -> tuple[Frame, ...]:
    place = plane.place
    if place is None:
        raise UnreadableError("a mosaic without position, orientation or pixel spacing")
    beyond = [(1 - 1 / tiles) * pixels / 2 * spacing for pixels, spacing in zip(size, place.spacing_mm, strict=True)]
    first = np.array(place.position_mm) + beyond[0] * np.array(place.row) + beyond[1] * np.array(place.column)
    positions = (first + index * step_mm for index in range(count))
    return tuple(
        replace(plane, number=index, place=replace(place, position_mm=(float(x), float(y), float(z))))
        for index, (x, y, z) in enumerate(positions)
    )
