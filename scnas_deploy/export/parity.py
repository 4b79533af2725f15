"""The parity gate: an exported network must compute what the trained one does, on real patches.

Legend: B patches, C channels, K classes, X Y Z voxels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.errors import ParityError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.manifest import ParityRecord, Precision
from scnas_deploy.inference.overlap import Overlap
from scnas_deploy.types import ClassesBXYZ, LogitsBKXYZ, PatchesBCXYZ


@dataclass(frozen=True, eq=False, slots=True)
class RealPatches:
    """A batch of real preprocessed patches."""

    patches_BCXYZ: PatchesBCXYZ
    classes_BXYZ: ClassesBXYZ | None = None
    """The true class indices, where they are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityLimits:
    """Limits of an artefact; None does not limit."""

    max_abs_error: float | None = None
    """Largest absolute difference of a logit."""
    max_rel_error: float | None = None
    """The same as a part of the patch's largest absolute logit."""
    min_label_agreement: float
    """Part of the voxels with the same label."""
    max_dice_loss: float | None = None
    """How much of its Dice against the true labels a class may lose."""


LIMITS: Final[dict[Precision, ParityLimits]] = {
    "float32": ParityLimits(max_abs_error=1e-2, min_label_agreement=0.9999),
    "float16": ParityLimits(max_rel_error=0.05, min_label_agreement=0.999),
    "int8": ParityLimits(max_rel_error=1.0, min_label_agreement=0.99, max_dice_loss=0.005),
}
"""In lower precision the labels decide; the bound on the logits refuses NaN and what else no label shows."""


def compare(reference: Engine, engines: Sequence[Engine], patches: Sequence[RealPatches]) -> list[ParityRecord]:
    """Compare engines with a reference on batches of patches, of which one at a time is kept.

    Returns:
        A record of each engine, in their order.

    Raises:
        ParityError: If an answer has another shape.
    """
    tallies: list[_Tally] = []
    for real in patches:
        logits_BKXYZ = reference.run(real.patches_BCXYZ)
        tallies = tallies or [_Tally(engine, logits_BKXYZ.shape[1]) for engine in engines]
        for tally in tallies:
            tally.add(real, logits_BKXYZ)
    return [tally.record() for tally in tallies]


def require_parity(record: ParityRecord, precision: Precision) -> None:
    """Refuse an artefact of a precision that differs too much.

    Raises:
        ParityError: With the figures.
    """
    expected, found, kept = zip(*_checks(record, LIMITS[precision]), strict=True)
    if all(kept):
        return
    exact = precision == "float32"
    raise ParityError(
        record.engine if exact else f"{record.engine}, {precision}",
        expected=" and ".join(expected),
        found=f"{' and '.join(found)} on {record.num_patches} patches",
        remedy="Nothing was exported; "
        + (
            "report the genotype with these figures"
            if exact
            else "leave this precision out, or train the network longer"
        ),
    )


def _checks(record: ParityRecord, limits: ParityLimits) -> Iterator[tuple[str, str, bool]]:
    """Yield each limit and each figure in words, and whether it is kept."""
    absolute, part, loss = limits.max_abs_error, limits.max_rel_error, limits.max_dice_loss
    if absolute is not None:
        yield f"logits within {absolute}", f"{record.max_abs_error:.3g}", record.max_abs_error <= absolute
    if part is not None:
        yield f"logits within {part:.0%} of the largest", f"{record.max_rel_error:.1%}", record.max_rel_error <= part
    least = limits.min_label_agreement
    yield f"{least:.2%} equal labels", f"{record.label_agreement:.4%}", record.label_agreement >= least
    if loss is not None:
        lost = record.dice_loss
        found = "no true labels" if lost is None else f"{lost:.4f}"
        yield f"a Dice lower by at most {loss}", found, lost is not None and lost <= loss


class _Tally:
    """What an engine's answers come to.

    Args:
        engine: It.
        num_classes: Classes, background included.
    """

    def __init__(self, engine: Engine, num_classes: int) -> None:
        self._engine = engine
        self._num_patches = 0
        self._errors: list[np.floating] = []
        self._rel_errors: list[np.floating] = []
        self._mutual, self._of_reference, self._of_engine = (Overlap(num_classes) for _ in range(3))
        self._knows_truth = False

    def add(self, real: RealPatches, theirs_BKXYZ: LogitsBKXYZ) -> None:
        """Count the engine's answer to a batch, beside the reference's."""
        ours_BKXYZ = self._answer(real, theirs_BKXYZ.shape)
        self._num_patches += len(theirs_BKXYZ)
        self._errors.append(np.abs(ours_BKXYZ - theirs_BKXYZ).max())
        self._rel_errors.append(self._errors[-1] / max(np.abs(theirs_BKXYZ).max(), 1e-12))
        ours, theirs = ours_BKXYZ.argmax(axis=1), theirs_BKXYZ.argmax(axis=1)
        self._mutual.add(theirs, ours)
        if real.classes_BXYZ is not None:
            self._knows_truth = True
            self._of_reference.add(real.classes_BXYZ, theirs)
            self._of_engine.add(real.classes_BXYZ, ours)

    def record(self) -> ParityRecord:
        """The figures of all batches."""
        loss = None
        if self._knows_truth:
            losses = (self._of_reference.dice() - self._of_engine.dice())[1:]
            loss = float(max(losses[np.isfinite(losses)], default=0.0))
        return ParityRecord(
            engine=self._engine.name,
            num_patches=self._num_patches,
            max_abs_error=_number(np.max(self._errors)),
            max_rel_error=_number(np.max(self._rel_errors)),
            label_agreement=self._mutual.agreement,
            label_dice=self._mutual.least_dice(),
            dice_loss=loss,
        )

    def _answer(self, real: RealPatches, shape: tuple[int, ...]) -> LogitsBKXYZ:
        logits = self._engine.run(real.patches_BCXYZ)
        if logits.shape == shape:
            return logits
        raise ParityError(
            self._engine.name,
            expected=f"logits of the shape {shape}",
            found=str(logits.shape),
            remedy="Nothing was exported; report the genotype",
        )


def _number(value: np.floating) -> float:
    """A JSON number; an engine that answers NaN is as far off as can be."""
    return float(value) if np.isfinite(value) else 1e30
