"""Truth against prediction: how well each structure agrees, and a layer that shows where."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.pages.viewer_layers import MaskLayer, measured_layer
from scnas_deploy.types import Spacing

PREDICTION: Final = "Prediction"
TRUTH: Final = "Truth"
DIFFERENCES: Final = "Differences"

_AGREED, _ONLY_PREDICTION, _ONLY_TRUTH, _OTHER = 1, 2, 3, 4
_KINDS: Final = [
    ("agreed", "#009e73"),
    ("only in the prediction", "#e69f00"),
    ("only in the truth", "#56b4e9"),
    ("another structure", "#cc79a7"),
]
"""In the order of the numbers above; colours of Okabe and Ito, which colour-blind people tell apart."""


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """Of a prediction with the truth."""

    dice: dict[str, float | None]
    """Of each structure of the prediction that the truth has too; None where neither has a voxel of it."""
    differences: MaskLayer


def compare(masks: list[MaskLayer], spacing_mm: Spacing, voxel_ml: float) -> Comparison | None:
    """Compare the layers called Prediction and Truth; None where these are not all, or have no structure in common.

    Structures are the same where their names are; the only ones of both sides are, whatever they are called.
    """
    by_name = {mask.name: mask for mask in masks}
    if set(by_name) != {PREDICTION, TRUTH}:  # structures that overlap lie in further layers, which must not be left out
        return None
    prediction, truth = by_name[PREDICTION], by_name[TRUTH]
    pairs = _pairs(prediction, truth)
    if not pairs:
        return None
    table = _kinds(pairs, (len(prediction.structures) + 1, len(truth.structures) + 1))
    numbers = table[prediction.numbers_XYZ, truth.numbers_XYZ]
    kinds = _KINDS if (table == _OTHER).any() else _KINDS[:3]
    return Comparison(
        _dice(pairs, prediction, truth), measured_layer(DIFFERENCES, numbers, kinds, spacing_mm, voxel_ml)
    )


def _pairs(prediction: MaskLayer, truth: MaskLayer) -> list[tuple[int, int]]:
    """Numbers in the prediction and in the truth of what is one structure."""
    if len(prediction.structures) == len(truth.structures) == 1:
        return [(1, 1)]
    return [
        (row, column)
        for row, mine in enumerate(prediction.structures, start=1)
        for column, theirs in enumerate(truth.structures, start=1)
        if mine.name == theirs.name
    ]


def _kinds(pairs: list[tuple[int, int]], shape: tuple[int, int]) -> np.ndarray:
    """(number in the prediction, number in the truth) -> what that is."""
    table = np.full(shape, _OTHER, dtype=np.uint8)
    table[:, 0], table[0, :], table[0, 0] = _ONLY_PREDICTION, _ONLY_TRUTH, 0
    for pair in pairs:
        table[pair] = _AGREED
    return table


def _dice(pairs: list[tuple[int, int]], prediction: MaskLayer, truth: MaskLayer) -> dict[str, float | None]:
    """By the definition of :func:`scnas_deploy.training.evaluation.dice`, which belongs to a room above this one."""
    columns = len(truth.structures) + 1
    both = prediction.numbers_XYZ.astype(np.int64).ravel() * columns + truth.numbers_XYZ.ravel()
    counts = np.bincount(both, minlength=(len(prediction.structures) + 1) * columns).reshape(-1, columns)
    scores: dict[str, float | None] = {}
    for row, column in pairs:
        total = int(counts[row].sum() + counts[:, column].sum())
        scores[prediction.structures[row - 1].name] = 2 * int(counts[row, column]) / total if total else None
    return scores
