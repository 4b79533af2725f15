"""Dice of segmented cases against their masks. Torch-free: a package is evaluated where it is deployed."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scnas_deploy.data.check import load_case
from scnas_deploy.data.dataset import Dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.preprocess import prepare
from scnas_deploy.documents import Frozen
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.predictor import Predictor
from scnas_deploy.types import LabelsXYZ


class CaseScore(Frozen):
    """One case; Dice is None where a structure is neither in the mask nor in the result."""

    case_id: str
    dice: dict[str, float | None]
    """Label name -> Dice."""
    true_ml: dict[str, float]
    predicted_ml: dict[str, float]


class Evaluation(Frozen):
    """Scores of all cases, on the studies' own grids."""

    fold: int | None
    engine: str
    cases: tuple[CaseScore, ...]

    def mean_dice(self) -> dict[str, float | None]:
        """Return each label's mean Dice over the cases in which it occurs; None where it occurs in none."""
        names = self.cases[0].dice
        scores = {name: [case.dice[name] for case in self.cases] for name in names}
        return {name: _mean(values) for name, values in scores.items()}

    def mean_foreground(self) -> float | None:
        """Return the mean over labels of the mean Dice."""
        return _mean(list(self.mean_dice().values()))

    def to_csv(self) -> str:
        """Return one row a case: Dice, true and predicted millilitres of each label."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        names = list(self.cases[0].dice)
        writer.writerow(["case", *(f"{kind} {name}" for kind in ("Dice", "true ml", "predicted ml") for name in names)])
        for case in self.cases:
            dices = [case.dice[name] for name in names]
            volumes = [ml[name] for ml in (case.true_ml, case.predicted_ml) for name in names]
            writer.writerow([case.case_id, *dices, *volumes])
        return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Segments cases of a dataset and scores them."""

    dataset: Dataset
    plan: Plan
    engine: Engine

    def evaluate(
        self, case_ids: Sequence[str], *, fold: int | None, progress: Callable[[int, int], None] | None = None
    ) -> Evaluation:
        """Score cases, each on its own grid."""
        predictor = Predictor(self.engine, self.plan)
        scores = []
        for number, case_id in enumerate(case_ids, 1):
            scores.append(self._score(case_id, predictor))
            if progress is not None:
                progress(number, len(case_ids))
        return Evaluation(fold=fold, engine=self.engine.name, cases=tuple(scores))

    def _score(self, case_id: str, predictor: Predictor) -> CaseScore:
        volume, truth = load_case(self.dataset, self.dataset.case(case_id))
        image, way_back = prepare(volume, self.plan)
        predicted = way_back.restore(predictor.predict(image))
        labels = self.plan.labels
        return CaseScore(
            case_id=case_id,
            dice={label.name: dice(truth == label.value, predicted == label.value) for label in labels},
            true_ml={label.name: _ml(truth, label.value, volume.voxel_ml) for label in labels},
            predicted_ml={label.name: _ml(predicted, label.value, volume.voxel_ml) for label in labels},
        )


def dice(truth_XYZ: np.ndarray, predicted_XYZ: np.ndarray) -> float | None:
    """Return the Dice coefficient of two masks; None where both are empty."""
    total = int(truth_XYZ.sum()) + int(predicted_XYZ.sum())
    return 2 * int((truth_XYZ & predicted_XYZ).sum()) / total if total else None


def _ml(labels_XYZ: LabelsXYZ, value: int, voxel_ml: float) -> float:
    return round(int((labels_XYZ == value).sum()) * voxel_ml, 4)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
