"""A picture to see at a glance whether a mask lies on its structure: three cuts, with outlines in the labels' colours.

Burned into it are the model's name and the research-use statement, and nothing of the patient. It is shown as
radiologists look at it: the patient's right on the left, front above, head above.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scnas_deploy.data.orientation import to_ras
from scnas_deploy.data.percentiles import percentiles
from scnas_deploy.data.volume import Volume
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results import algorithm
from scnas_deploy.results.color import rgb
from scnas_deploy.results.identity import MANUFACTURER, RESEARCH_USE, Identity, stamp
from scnas_deploy.results.library import highdicom
from scnas_deploy.results.source import Source

_HEIGHT: Final = 384
"""Pixels of each cut."""
_MARGIN: Final = 12
_CAPTION: Final = 34
_INK: Final = (230, 230, 230)


@dataclass(frozen=True, eq=False, slots=True)
class _Cut:
    """A plane through the volume, as it is looked at: rows from above, columns from the left."""

    image: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float]
    """Between rows, between columns."""
    sides: tuple[str, str]
    """Letters at the left and right edge."""


def make_preview(result: Segmentation) -> np.ndarray:
    """Draw the picture: (rows, columns, 3), uint8."""
    from PIL import Image, ImageDraw

    tiles = [_tile(cut, result) for cut in _cuts(result)]
    width = sum(tile.shape[1] for tile in tiles) + _MARGIN * (len(tiles) + 1)
    canvas = Image.new("RGB", (width, _HEIGHT + 2 * _MARGIN + _CAPTION))
    left, draw = _MARGIN, ImageDraw.Draw(canvas)
    for tile, cut in zip(tiles, _cuts(result), strict=True):
        canvas.paste(Image.fromarray(tile), (left, _MARGIN))
        for side, place in zip(cut.sides, (left + 5, left + tile.shape[1] - 13), strict=True):
            draw.text((place, _HEIGHT // 2), side, fill=_INK, stroke_width=2, stroke_fill=(0, 0, 0))
        left += tile.shape[1] + _MARGIN
    below = _HEIGHT + 2 * _MARGIN
    draw.text((_MARGIN, below), f"{algorithm.model_name(result)} {algorithm.model_version(result)}", fill=_INK)
    draw.text((_MARGIN, below + 16), RESEARCH_USE, fill=_INK)
    picture: np.ndarray = np.asarray(canvas)
    return picture


def make_secondary_capture(picture: np.ndarray, result: Segmentation, source: Source, identity: Identity) -> Any:
    """Make a Secondary Capture of the picture (PS3.3 A.8.1), in the source's study."""
    header = source.headers[0]
    made = highdicom().sc.SCImage(
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=identity.series_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex or None,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate or None,
        study_time=header.StudyTime or None,
        referring_physician_name=header.ReferringPhysicianName,
        patient_orientation=("L", "P"),
        series_description=f"{result.model_name} preview (research use)"[:64],
        manufacturer_model_name=algorithm.model_name(result),
        software_versions=algorithm.software(),
        specific_character_set=header.SpecificCharacterSet,
    )
    made.BurnedInAnnotation = "NO"
    made.Laterality = ""
    made.PatientOrientation = None  # of three cuts there is not one
    stamp(made, identity)
    return made


def _cuts(result: Segmentation) -> list[_Cut]:
    """Through the middle of all that was found, or of the volume."""
    ras, mapping = to_ras(result.study)
    labels = mapping.forward(result.labels_XYZ)
    image = _shown(ras)
    where = np.argwhere(labels)
    x, y, z = where.mean(axis=0).round().astype(int) if len(where) else np.array(labels.shape) // 2
    right, front, up = ras.spacing_mm
    return [
        _cut(image[:, :, z], labels[:, :, z], (right, front), ("R", "L")),
        _cut(image[:, y, :], labels[:, y, :], (right, up), ("R", "L")),
        _cut(image[x, :, :], labels[x, :, :], (front, up), ("A", "P")),
    ]


def _cut(image: np.ndarray, labels: np.ndarray, spacing_mm: tuple[float, float], sides: tuple[str, str]) -> _Cut:
    """Of a plane whose first axis runs to the viewer's left in the picture, and whose second runs upwards."""
    return _Cut(image.T[::-1, ::-1], labels.T[::-1, ::-1], (spacing_mm[1], spacing_mm[0]), sides)


def _shown(ras: Volume) -> np.ndarray:
    """The first channel in 0 to 255, from its 0.5th to its 99.5th percentile."""
    low, high = percentiles(ras.data[0], (0.5, 99.5))
    scaled = (ras.data[0].astype(np.float32) - low) / max(high - low, 1e-6)
    shown: np.ndarray = (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return shown


def _tile(cut: _Cut, result: Segmentation) -> np.ndarray:
    from PIL import Image

    rows, columns = cut.image.shape
    scale = _HEIGHT / (rows * cut.spacing_mm[0])
    size = (max(1, round(columns * cut.spacing_mm[1] * scale)), _HEIGHT)
    gray = np.asarray(Image.fromarray(cut.image).resize(size, Image.Resampling.BILINEAR))
    tile = np.repeat(gray[..., None], 3, axis=2)
    for label in result.labels:
        mask = Image.fromarray((cut.labels == label.value).astype(np.uint8))
        drawn = np.asarray(mask.resize(size, Image.Resampling.NEAREST)).astype(bool)
        tile[_edge(drawn)] = rgb(label.color)
    return tile


def _edge(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask that have a neighbour outside of it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge: np.ndarray = mask & ~inner
    return edge
