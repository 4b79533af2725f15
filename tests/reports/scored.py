"""An evaluation such as of a real fold: many cases, most good, some bad, made of seeded numbers."""

import io

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.reports.overlays import Overlay
from scnas_deploy.training.evaluation import CaseScore, Evaluation

LABELS = (Label(value=1, name="Anterior", color="#e6194b"), Label(value=2, name="Posterior", color="#3cb44b"))
MISSED, INVENTED, LOW = "case_007", "case_021", "case_030"
"""Cases in which Anterior is missed, in which Posterior is found where there is none, and of low Dice."""


def scored(num_cases: int = 44, *, subject: str = "a run", better: float = 0.0, seed: int = 0) -> Evaluation:
    """Draw it; ``better`` is added to every Dice of ordinary cases."""
    random = np.random.default_rng(seed)
    cases = [_case(f"case_{number:03}", random, better) for number in range(num_cases)]
    return Evaluation(subject=subject, fold=0, engine="openvino", cases=tuple(cases))


def _case(case_id: str, random: np.random.Generator, better: float) -> CaseScore:
    names = [label.name for label in LABELS]
    dice = {name: round(min(1.0, 0.88 + better + float(random.normal(0, 0.02))), 4) for name in names}
    hd95 = dict.fromkeys(names, round(1 + float(random.random()), 2))
    true = {name: round(1.5 + float(random.random()), 3) for name in names}
    predicted = {name: round(value + float(random.normal(0.1, 0.05)), 3) for name, value in true.items()}
    if case_id == MISSED:
        dice, hd95, predicted = {**dice, "Anterior": 0.0}, {**hd95, "Anterior": None}, {**predicted, "Anterior": 0.0}
    if case_id == INVENTED:
        dice, hd95, true = {**dice, "Posterior": 0.0}, {**hd95, "Posterior": None}, {**true, "Posterior": 0.0}
    if case_id == LOW:
        dice, hd95 = {**dice, "Posterior": 0.41}, {**hd95, "Posterior": 9.5}
    return CaseScore(case_id=case_id, dice=dice, hd95_mm=hd95, nsd=dice, true_ml=true, predicted_ml=predicted)


def overlay(case_id: str, place: str, *, link: str | None) -> Overlay:
    """Noise of the size of a real picture: nothing compresses worse."""
    from PIL import Image

    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, size=(300, 900, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, format="PNG")
    return Overlay(case_id=case_id, place=place, picture=buffer.getvalue(), labels=LABELS, link=link)
