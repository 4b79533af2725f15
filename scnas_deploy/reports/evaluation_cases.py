"""The cases of an evaluation that are worth a picture: segmented again, drawn, and each made a page to view it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.errors import CapacityError
from scnas_deploy.files import make_folder, sha256_of, write_text
from scnas_deploy.pages.viewer import Layer, Scene, viewer_page
from scnas_deploy.reports.overlays import Overlay, draw_overlay
from scnas_deploy.reports.scores import score, worst_first
from scnas_deploy.training.evaluation import CaseScore, Evaluation, Evaluator, LabelledCase
from scnas_deploy.types import LabelsXYZ

CASES: Final = "cases"
"""Folder of the viewer pages, beside evaluation.html."""
_WORST: Final = ("Worst", "Second worst", "Third worst")
_LONGEST_NAME: Final = 100


def chosen_cases(evaluation: Evaluation) -> list[tuple[str, CaseScore]]:
    """Return the three worst cases by mean Dice and, where it is none of them, the median one, with their places."""
    ranked = [case for case in worst_first(evaluation.cases) if any(dice is not None for dice in case.dice.values())]
    chosen = list(zip(_WORST, ranked, strict=False))
    middle = len(ranked) // 2
    if middle >= len(_WORST):
        chosen.append(("Median", ranked[middle]))
    return chosen


def show_cases(
    evaluator: Evaluator,
    evaluation: Evaluation,
    folders: Sequence[Path],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Overlay, ...]:
    """Draw the chosen cases and write their viewer pages into a folder ``cases`` of each folder; one case at a time.

    Raises:
        OutputError: If a page cannot be written.
    """
    chosen = chosen_cases(evaluation)
    overlays = []
    for number, (place, scored) in enumerate(chosen, 1):
        case = evaluator.label(scored.case_id)
        labels = evaluator.plan.labels
        link = _write_page(_scene(place, scored, case, evaluation, labels), scored.case_id, folders)
        picture = draw_overlay(case, labels)
        overlays.append(Overlay(case_id=scored.case_id, place=place, picture=picture, labels=labels, link=link))
        if progress is not None:
            progress(number, len(chosen))
    return tuple(overlays)


def page_name(case_id: str) -> str:
    """Return a file name that every system takes, another one for every case."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", case_id).lstrip(".")[:_LONGEST_NAME] or "case"
    return f"{safe}.html" if safe == case_id else f"{safe}-{sha256_of(case_id.encode())[:8]}.html"


def _write_page(scene: Scene, case_id: str, folders: Sequence[Path]) -> str | None:
    """Write a viewer page and return its address; None for a study too large for one."""
    try:
        page = viewer_page(scene)
    except CapacityError:
        return None
    name = page_name(case_id)
    for folder in folders:
        make_folder(folder / CASES)
        write_text(folder / CASES / name, page)
    return quote(f"{CASES}/{name}")


def _scene(
    place: str, scored: CaseScore, case: LabelledCase, evaluation: Evaluation, labels: tuple[Label, ...]
) -> Scene:
    layers = [("Prediction", case.predicted_XYZ), ("Truth", _named_only(case.truth_XYZ, labels))]
    return Scene(
        title=f"{place} case of {evaluation.subject}",
        volume=case.volume,
        layers=tuple(Layer(name=name, labels_XYZ=labels_XYZ, labels=labels) for name, labels_XYZ in layers),
        facts=(
            ("Case", scored.case_id),
            *((f"Dice {label}", score("dice", value)) for label, value in scored.dice.items()),
        ),
    )


def _named_only(labels_XYZ: LabelsXYZ, labels: tuple[Label, ...]) -> LabelsXYZ:
    """Without what the mask has beyond the plan's labels, which is not scored either."""
    known: LabelsXYZ = np.where(np.isin(labels_XYZ, [label.value for label in labels]), labels_XYZ, 0)
    return known
