"""Drawn studies with drawn masks, in ways in which a patient may lie."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.data.plan import CodedTerm, Label
from scnas_deploy.inference.segmentation import Segmentation
from tests.data.dicom.grids import GRIDS
from tests.dicom_drawing import Drawing, Grid

LABELS = (
    Label(value=1, name="liver", color="#e6194b", code=CodedTerm(value="10200004", scheme="SCT", meaning="Liver")),
    Label(value=3, name="absent", color="#3cb44b"),
    Label(value=7, name="spleen", color="#4363d8", code=CodedTerm(value="78961009", scheme="SCT", meaning="Spleen")),
)

GEOMETRIES: dict[str, tuple[Grid, bool]] = {
    "axial": (GRIDS["axial"], False),
    "sagittal": (GRIDS["sagittal"], False),
    "coronal": (GRIDS["coronal"], False),
    "oblique": (GRIDS["oblique"], False),
    "double oblique": (GRIDS["double oblique"], False),
    "feet first": (GRIDS["feet first"], False),
    "non-square": (replace(Grid(), shape=(31, 17, 9), spacing_mm=(0.6, 1.7)), False),
    "flipped slice order": (GRIDS["axial from the head down"], False),
    "enhanced": (GRIDS["double oblique"], True),
    "single plane thick": (GRIDS["prone"], False),
}


def draw_labels(shape: tuple[int, int, int], *, thin: bool = False) -> np.ndarray:
    """Two structures, of which no mirror image is alike: an L with a hole, and a small block."""
    x, y, z = shape
    labels = np.zeros(shape, dtype=np.uint8)
    depth = slice(z // 3, z // 3 + 1) if thin else slice(1, z - 2)
    labels[2 : x // 2, 1 : y - 3, depth] = 1
    labels[2 : x - 4, 1:4, depth] = 1
    labels[3:5, y // 2 : y // 2 + 2, depth] = 0
    labels[x - 3 : x - 1, y - 4 : y - 1, slice(z // 2, z // 2 + 1) if thin else slice(z // 2, z // 2 + 3)] = 7
    return labels


def drawn_result(folder: Path, name: str) -> Segmentation:
    """A result on a drawn study of one of the geometries."""
    grid, enhanced = GEOMETRIES[name]
    drawing = Drawing(grid=grid, modality="MR")
    path = drawing.save_enhanced(folder) if enhanced else drawing.save(folder)
    return result_on(path, thin=name == "single plane thick")


def result_on(path: Path, *, thin: bool = False, allow=()) -> Segmentation:
    """A result on the one series that lies there."""
    (series,) = scan([path]).series
    study = read_series(series, allow)
    return Segmentation(
        labels_XYZ=draw_labels(study.shape, thin=thin),
        study=study,
        labels=LABELS,
        model_name="drawn",
        model_digest="0123456789abcdef" * 4,
        engine="openvino 2026.4.1",
        outside_limits=(),
    )
