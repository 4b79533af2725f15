"""Scores of segmented cases against their masks. Torch-free: a package is evaluated where it is deployed."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from scnas_deploy.data.check import load_case
from scnas_deploy.data.dataset import Dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.preprocess import check_channels
from scnas_deploy.data.volume import Volume
from scnas_deploy.documents import Frozen
from scnas_deploy.inference.engines.base import Engine, described
from scnas_deploy.inference.labelling import Labelling, label_study
from scnas_deploy.inference.predictor import Predictor
from scnas_deploy.training.surface import DEFAULT_TOLERANCE_MM, surface_distances
from scnas_deploy.types import LabelsXYZ, MaskXYZ

Metric = Literal["dice", "hd95_mm", "nsd"]
METRICS: dict[Metric, str] = {"dice": "Dice", "hd95_mm": "HD95 mm", "nsd": "NSD"}
"""Field of a case's score -> what people call it. Of HD95, less is better."""

Scores = dict[str, float | None]
"""Label name -> score; None where it is undefined."""


class CaseScore(Frozen):
    """One case. Dice and NSD are None where a structure is neither in the mask nor in the result."""

    case_id: str
    dice: Scores
    hd95_mm: Scores
    """95th percentile Hausdorff distance in mm; None where the structure is missing in the mask or the result."""
    nsd: Scores
    """Normalised surface Dice."""
    true_ml: dict[str, float]
    predicted_ml: dict[str, float]

    @property
    def columns(self) -> tuple[Mapping[str, float | None], ...]:
        """All that is known of each label, in the order of the CSV."""
        return self.dice, self.hd95_mm, self.nsd, self.true_ml, self.predicted_ml


class Evaluation(Frozen):
    """evaluation.json, schema 1: scores of all cases, on the studies' own grids."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    subject: str
    """Name of the run or package."""
    fold: int | None
    engine: str
    nsd_tolerance_mm: Annotated[float, Field(ge=0)] = DEFAULT_TOLERANCE_MM
    cases: Annotated[tuple[CaseScore, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> "Evaluation":
        if len({case.case_id for case in self.cases}) < len(self.cases):
            raise ValueError("a case is listed twice")
        if any(values.keys() != set(self.labels) for case in self.cases for values in case.columns):
            raise ValueError("the scores name different labels")
        return self

    @property
    def labels(self) -> list[str]:
        """Names of the labels."""
        return list(self.cases[0].dice)

    def values(self, metric: Metric, label: str) -> list[float | None]:
        """Return a label's scores in the order of the cases."""
        return [getattr(case, metric)[label] for case in self.cases]

    def means(self, metric: Metric) -> Scores:
        """Return each label's mean over the cases in which it is defined; None where it is in none."""
        return {label: mean_of_known(self.values(metric, label)) for label in self.labels}

    def mean_dice(self) -> Scores:
        """Return each label's mean Dice over the cases in which it occurs."""
        return self.means("dice")

    def mean_hd95_mm(self) -> Scores:
        """Return each label's mean HD95 in mm over the cases that have it in mask and result."""
        return self.means("hd95_mm")

    def mean_nsd(self) -> Scores:
        """Return each label's mean normalised surface Dice over the cases in which it occurs."""
        return self.means("nsd")

    def mean_foreground(self, metric: Metric = "dice") -> float | None:
        """Return the mean over labels of their means."""
        return mean_of_known(list(self.means(metric).values()))

    def to_csv(self) -> str:
        """Return one row a case: Dice, HD95, NSD, true and predicted millilitres of each label."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        kinds = [*METRICS.values(), "true ml", "predicted ml"]
        writer.writerow(["case", *(f"{kind} {label}" for kind in kinds for label in self.labels)])
        for case in self.cases:
            writer.writerow([case.case_id, *(values[label] for values in case.columns for label in self.labels)])
        return buffer.getvalue()


@dataclass(frozen=True, eq=False, slots=True)
class LabelledCase:
    """One case with its mask and with what was found."""

    volume: Volume
    truth_XYZ: LabelsXYZ
    predicted_XYZ: LabelsXYZ


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Segments cases of a dataset and scores them."""

    dataset: Dataset
    plan: Plan
    engine: Engine
    subject: str
    """Name of the run or package."""
    nsd_tolerance_mm: float = DEFAULT_TOLERANCE_MM
    whole_multiple: int | None = None
    """As :class:`~scnas_deploy.inference.predictor.Predictor` takes it."""

    def evaluate(
        self, case_ids: Sequence[str], *, fold: int | None, progress: Callable[[int, int], None] | None = None
    ) -> Evaluation:
        """Score cases, each on its own grid."""
        predictor = self._predictor()
        scores = []
        for number, case_id in enumerate(case_ids, 1):
            scores.append(self._score(case_id, predictor))
            if progress is not None:
                progress(number, len(case_ids))
        return Evaluation(
            subject=self.subject,
            fold=fold,
            engine=described(self.engine),
            nsd_tolerance_mm=self.nsd_tolerance_mm,
            cases=tuple(scores),
        )

    def label(self, case_id: str) -> LabelledCase:
        """Segment one case again, to be looked at: an evaluation keeps no voxels."""
        return self._label(case_id, self._predictor())

    def _predictor(self) -> Predictor:
        return Predictor(self.engine, self.plan, whole_multiple=self.whole_multiple)

    def _label(self, case_id: str, predictor: Predictor) -> LabelledCase:
        volume, truth = load_case(self.dataset, self.dataset.case(case_id))
        check_channels(volume, self.plan)
        return LabelledCase(volume, truth, label_study(volume, self.plan, predictor, Labelling()).labels_XYZ)

    def _score(self, case_id: str, predictor: Predictor) -> CaseScore:
        case = self._label(case_id, predictor)
        truth, predicted = case.truth_XYZ, case.predicted_XYZ
        scores = {
            label.name: _score_label(truth == label.value, predicted == label.value, case.volume, self.nsd_tolerance_mm)
            for label in self.plan.labels
        }
        return CaseScore(
            case_id=case_id,
            dice={name: score.dice for name, score in scores.items()},
            hd95_mm={name: score.hd95_mm for name, score in scores.items()},
            nsd={name: score.nsd for name, score in scores.items()},
            true_ml={name: score.true_ml for name, score in scores.items()},
            predicted_ml={name: score.predicted_ml for name, score in scores.items()},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _LabelScore:
    """One structure of one case; fields as in CaseScore."""

    dice: float | None
    hd95_mm: float | None
    nsd: float | None
    true_ml: float
    predicted_ml: float


def _score_label(truth_XYZ: MaskXYZ, predicted_XYZ: MaskXYZ, volume: Volume, nsd_tolerance_mm: float) -> _LabelScore:
    distances = surface_distances(truth_XYZ, predicted_XYZ, volume.spacing_mm)
    return _LabelScore(
        dice=dice(truth_XYZ, predicted_XYZ),
        hd95_mm=distances.hd95_mm(),
        nsd=distances.nsd(tolerance_mm=nsd_tolerance_mm),
        true_ml=_ml(truth_XYZ, volume.voxel_ml),
        predicted_ml=_ml(predicted_XYZ, volume.voxel_ml),
    )


def dice(truth_XYZ: MaskXYZ, predicted_XYZ: MaskXYZ) -> float | None:
    """Return the Dice coefficient of two masks; None where both are empty."""
    total = int(truth_XYZ.sum()) + int(predicted_XYZ.sum())
    return 2 * int((truth_XYZ & predicted_XYZ).sum()) / total if total else None


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Return the mean of the scores that are defined; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _ml(mask_XYZ: MaskXYZ, voxel_ml: float) -> float:
    return round(int(mask_XYZ.sum()) * voxel_ml, 4)
