"""Pictures of evaluated cases: three cuts with the outlines of mask and prediction."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.data.volume import Volume
from scnas_deploy.results.color import rgb
from scnas_deploy.results.cuts import INK, Cut, Voxel, edge, three_cuts
from scnas_deploy.training.evaluation import LabelledCase
from scnas_deploy.types import LabelsXYZ

if TYPE_CHECKING:
    from PIL import Image

_HIGHEST: Final = 380
_WIDEST: Final = 1100
"""Pixels that a picture has at most; its three cuts are drawn to one scale."""
_GAP: Final = 8
_DASH: Final = 5
"""Pixels of the mask's outline that are drawn, and that are left out."""
_MARGIN_MM: Final = 15.0
"""Around the structures; a picture of a whole body shows nothing of a small organ."""
_TRUTH, _PREDICTION = 0, 1


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Overlay:
    """One case's picture on a page."""

    case_id: str
    place: str
    """Which of the cases it is, such as 'Worst'."""
    picture: bytes
    """PNG."""
    labels: tuple[Label, ...]
    """Whose colours the outlines of the prediction have."""
    link: str | None
    """Address of its viewer page beside this page; None where the study is too large for one."""


def draw_overlay(case: LabelledCase, labels: Sequence[Label]) -> bytes:
    """Draw axial, coronal and sagittal where most voxels differ, cropped to the structures, as PNG.

    The prediction's outline is solid and in the label's colour, the mask's is dashed and white and lies above it.
    """
    from PIL import Image

    study, truth, predicted = _cropped(case)
    cuts = three_cuts(study, [truth, predicted], _most_different)
    scale = _scale(cuts)
    tiles = [_tile(cut, labels, scale) for cut in cuts]
    width = sum(tile.shape[1] for tile in tiles) + _GAP * (len(tiles) - 1)
    canvas = Image.new("RGB", (width, max(tile.shape[0] for tile in tiles)), "white")
    left = 0
    for tile, cut in zip(tiles, cuts, strict=True):
        canvas.paste(_lettered(tile, cut, sides=study.orientation_known), (left, 0))
        left += tile.shape[1] + _GAP
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _cropped(case: LabelledCase) -> tuple[Volume, LabelsXYZ, LabelsXYZ]:
    """To all structures and a margin, so that they are large enough to be seen; all of it where there is none."""
    box = _box((case.truth_XYZ != 0) | (case.predicted_XYZ != 0), case.volume.spacing_mm)
    affine = case.volume.affine_ras.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([side.start for side in box], dtype=float)
    study = replace(case.volume, data=case.volume.data[(slice(0, 1), *box)], affine_ras=affine, nifti=None, dicom=None)
    return study, case.truth_XYZ[box], case.predicted_XYZ[box]


def _box(found_XYZ: np.ndarray, spacing_mm: Sequence[float]) -> tuple[slice, ...]:
    sides = []
    for axis, spacing in enumerate(spacing_mm):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(found_XYZ.any(axis=others))
        length = found_XYZ.shape[axis]
        margin = round(_MARGIN_MM / spacing)
        first, last = (where[0], where[-1]) if len(where) else (0, length - 1)
        sides.append(slice(max(0, int(first) - margin), min(length, int(last) + margin + 1)))
    return tuple(sides)


def _most_different(layers: Sequence[np.ndarray]) -> Voxel:
    """The planes in which most voxels differ, of those that cut both; of a perfect result, the largest."""
    truth, predicted = layers
    counted = truth != predicted if (truth != predicted).any() else truth != 0
    x, y, z = (_plane(counted, truth, predicted, others) for others in ((1, 2), (0, 2), (0, 1)))
    return x, y, z


def _plane(counted: np.ndarray, truth: np.ndarray, predicted: np.ndarray, others: tuple[int, int]) -> int:
    """Of the planes across the axis that is not among ``others``."""
    both = truth.any(axis=others) & predicted.any(axis=others)
    counts = counted.sum(axis=others)
    return int((np.where(both, counts, -1) if both.any() else counts).argmax())


def _scale(cuts: Sequence[Cut]) -> float:
    """Pixels a millimetre."""
    sizes = [cut.size_mm for cut in cuts]
    return min(_HIGHEST / max(height for height, _ in sizes), _WIDEST / sum(width for _, width in sizes))


def _tile(cut: Cut, labels: Sequence[Label], scale: float) -> np.ndarray:
    height = max(1, round(cut.size_mm[0] * scale))
    tile = cut.picture(height)
    for label in labels:
        tile[_thick(edge(cut.mask(_PREDICTION, label.value, height)))] = rgb(label.color)
    drawn = _dashes(tile.shape[:2])
    for label in labels:
        tile[_thick(edge(cut.mask(_TRUTH, label.value, height))) & drawn] = (255, 255, 255)
    return tile


def _thick(line: np.ndarray) -> np.ndarray:
    """Two pixels wide."""
    wide: np.ndarray = line.copy()
    wide[1:] |= line[:-1]
    wide[:, 1:] |= line[:, :-1]
    return wide


def _dashes(shape: tuple[int, ...]) -> np.ndarray:
    """Where a dashed line is drawn: outlines run along rows and columns, which this pattern divides alike."""
    rows, columns = np.indices(shape)
    drawn: np.ndarray = (rows + columns) // _DASH % 2 == 0
    return drawn


def _lettered(tile: np.ndarray, cut: Cut, *, sides: bool) -> "Image.Image":
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(tile)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=14)
    middle, (left, right) = picture.height // 2, cut.sides if sides else ("", "")
    for text, place, anchor in (
        (cut.name, (6, 4), "la"),
        (left, (6, middle), "lm"),
        (right, (picture.width - 6, middle), "rm"),
    ):
        draw.text(place, text, fill=INK, font=font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))
    return picture
