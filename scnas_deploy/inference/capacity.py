"""Saying beforehand what a study takes, and choosing a sweep that fits."""

from dataclasses import dataclass
from math import prod
from typing import Final

from scnas_deploy.data.plan import Plan
from scnas_deploy.data.preprocess import WayBack, prepare_bytes
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import CapacityError
from scnas_deploy.inference.memory import available_bytes
from scnas_deploy.inference.predictor import Predictor, label_values
from scnas_deploy.inference.sweep import Sweep

_OTHERS: Final = 32 * 1024**2
"""Interpreter, threads and allocators, which no formula sees."""

_MODEST: Final = 6_000_000_000
"""Bytes that a study takes no more than, unless it is allowed to, where that is cheap."""

_WORTH_MODESTY: Final = 1.1
"""Most patches that this may take, relative to the fewest."""

_HALF: Final = 2
"""Bytes of a probability."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a study takes beside the loaded model, in bytes, and how it is swept for that."""

    study: int
    """The study's own voxels."""
    preparing: int
    """At the peak of preparing, the image included."""
    predicting: int
    """At the peak of predicting, the image included."""
    restoring: int
    """At the peak of bringing labels and probabilities back, both grids' labels included."""
    sweep: Sweep
    more_patches: float
    """Patches that are computed, relative to the sweep in one column: what the limit costs."""
    whole: bool = False
    """Whether the network takes the volume at once: what the engine holds inside for it is not known, nor counted."""

    @property
    def peak(self) -> int:
        """The most at any time."""
        return self.study + max(self.preparing, self.predicting, self.restoring) + _OTHERS


def forecast(
    volume: Volume,
    back: WayBack,
    plan: Plan,
    predictor: Predictor,
    *,
    limit: int | None = None,
    probabilities: bool = False,
) -> Forecast:
    """Choose the sweep with the fewest patches that keeps a limit.

    Without a given one it need not fill what the machine has left: a study stays below 6 GB where that takes at most a
    tenth more patches.

    Args:
        volume: The study.
        back: How it will be prepared.
        plan: The model's plan.
        predictor: The model's predictor.
        limit: Bytes that the study may take, its own voxels included; None for what the machine has left.
        probabilities: Whether probabilities are written beside the labels.

    Raises:
        CapacityError: If no sweep keeps the limit.
    """
    voxels, label = prod(back.prepared.shape), label_values(plan).itemsize
    sweeps = predictor.sweeps(back.prepared.shape)
    left = available_bytes() if limit is None else limit
    fitting: Forecast | None = None
    for sweep in sweeps:
        said = Forecast(
            study=volume.data.nbytes,
            preparing=prepare_bytes(plan, back),
            predicting=4 * len(plan.channels) * voxels + predictor.needed_bytes(sweep, probabilities=probabilities),
            restoring=label * voxels + _restore_bytes(back, label, probabilities=probabilities),
            sweep=sweep,
            more_patches=sweep.num_patches / sweeps[0].num_patches,
            whole=predictor.whole,
        )
        if fitting is not None and said.more_patches > _WORTH_MODESTY:
            return fitting
        to_come = said.peak - (said.study if limit is None else 0)  # the study has its memory already
        if left is None or to_come <= left:
            fitting = fitting or said
            if limit is not None or said.peak <= _MODEST:
                return said
    if fitting is not None:
        return fitting
    assert left is not None
    raise _refusal(said, left, given=limit is not None)


def _restore_bytes(back: WayBack, label: int, *, probabilities: bool) -> int:
    """At the peak: probabilities, a class on both grids at a time, come when the labels are on the study's grid."""
    labels = back.restore_bytes(label)
    if not probabilities:
        return labels
    study = prod(back.study_shape)
    one_class = _HALF * (prod(back.prepared.shape) + study)
    return max(labels, label * study + one_class + back.restore_probabilities_bytes())


def _refusal(least: Forecast, left: int, *, given: bool) -> CapacityError:
    return CapacityError(
        "--max-memory" if given else "memory",
        expected=f"at most {left / 1e9:.2f} GB",
        found=f"a study that takes {least.peak / 1e9:.2f} GB with the least logits under way",
        remedy="Allow more with --max-memory" if given else "Free memory, or use a machine with more",
    )
