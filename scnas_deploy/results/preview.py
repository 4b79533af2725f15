"""A picture to see at a glance whether a mask lies on its structure: three cuts, with outlines in the labels' colours.

Burned into it are the model's name and the research-use statement, and nothing of the patient. It is shown as
radiologists look at it: the patient's right on the left, front above, head above.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results import algorithm
from scnas_deploy.results.color import rgb
from scnas_deploy.results.cuts import INK, Cut, Voxel, edge, three_cuts
from scnas_deploy.results.identity import MANUFACTURER, RESEARCH_USE, Identity, stamp
from scnas_deploy.results.library import highdicom
from scnas_deploy.results.source import Source

_HEIGHT: Final = 384
"""Pixels of each cut."""
_MARGIN: Final = 12
_CAPTION: Final = 34


def make_preview(result: Segmentation) -> np.ndarray:
    """Draw the picture: (rows, columns, 3), uint8."""
    from PIL import Image, ImageDraw

    cuts = three_cuts(result.study, [result.labels_XYZ], _middle)
    tiles = [_tile(cut, result) for cut in cuts]
    width = sum(tile.shape[1] for tile in tiles) + _MARGIN * (len(tiles) + 1)
    canvas = Image.new("RGB", (width, _HEIGHT + 2 * _MARGIN + _CAPTION))
    left, draw = _MARGIN, ImageDraw.Draw(canvas)
    for tile, cut in zip(tiles, cuts, strict=True):
        canvas.paste(Image.fromarray(tile), (left, _MARGIN))
        for side, place in zip(cut.sides, (left + 5, left + tile.shape[1] - 13), strict=True):
            draw.text((place, _HEIGHT // 2), side, fill=INK, stroke_width=2, stroke_fill=(0, 0, 0))
        left += tile.shape[1] + _MARGIN
    below = _HEIGHT + 2 * _MARGIN
    draw.text((_MARGIN, below), f"{algorithm.model_name(result)} {algorithm.model_version(result)}", fill=INK)
    draw.text((_MARGIN, below + 16), RESEARCH_USE, fill=INK)
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


def _middle(layers: Sequence[np.ndarray]) -> Voxel:
    """The middle of all that was found, or of the volume."""
    (labels,) = layers
    where = np.argwhere(labels)
    x, y, z = where.mean(axis=0).round().astype(int) if len(where) else np.array(labels.shape) // 2
    return int(x), int(y), int(z)


def _tile(cut: Cut, result: Segmentation) -> np.ndarray:
    tile = cut.picture(_HEIGHT)
    for label in result.labels:
        tile[edge(cut.mask(0, label.value, _HEIGHT))] = rgb(label.color)
    return tile
