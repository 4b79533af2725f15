"""Ways in which a series' planes may lie in the patient."""

import numpy as np

from tests.dicom_drawing import Grid


def turned(degrees: float, axis: tuple[float, float, float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Row and column of axial planes turned about an axis, by Rodrigues' formula."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return tuple(rotation[:, 0]), tuple(rotation[:, 1])


def grid(row, column, **more) -> Grid:
    return Grid(row=row, column=column, **more)


OBLIQUE = turned(20, (1, 0, 0))
DOUBLE_OBLIQUE = turned(35, (2, -1, 1.5))

GRIDS = {
    "axial": Grid(),
    "axial from the head down": Grid(distance_mm=-2.5),
    "sagittal": grid((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": grid((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "oblique": grid(*OBLIQUE),
    "double oblique": grid(*DOUBLE_OBLIQUE),
    "feet first": grid((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "prone": grid((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    "square pixels, thick planes": Grid(spacing_mm=(1.0, 1.0), distance_mm=6.5),
}
