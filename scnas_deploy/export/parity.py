"""The parity gate: an exported network must compute what the trained one does, on real patches.

Legend: B patches, K classes, X Y Z voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scnas_deploy.errors import ParityError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.manifest import ParityRecord
from scnas_deploy.types import PatchesBCXYZ


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityLimits:
    """Limits of the float32 artefact."""

    max_abs_error: float = 1e-2
    """Largest absolute difference of a logit."""
    min_label_agreement: float = 0.9999
    """Part of the voxels with the same label."""


def compare(reference: Engine, engine: Engine, patches: Sequence[PatchesBCXYZ]) -> ParityRecord:
    """Compare two engines on batches of patches.

    Raises:
        ParityError: If an answer has another shape.
    """
    pairs = [(reference.run(batch), engine.run(batch)) for batch in patches]
    for theirs, ours in pairs:
        if ours.shape != theirs.shape:
            raise ParityError(
                engine.name,
                expected=f"logits of the shape {theirs.shape}",
                found=str(ours.shape),
                remedy="Nothing was exported; report the genotype",
            )
    num_classes = pairs[0][0].shape[1]
    differences = [np.abs(ours - theirs).max() for theirs, ours in pairs]
    scales = [np.abs(theirs).max() for theirs, _ in pairs]
    labels = [(theirs.argmax(axis=1), ours.argmax(axis=1)) for theirs, ours in pairs]
    same = sum(int((a == b).sum()) for a, b in labels)
    return ParityRecord(
        engine=engine.name,
        num_patches=sum(len(batch) for batch in patches),
        max_abs_error=_number(np.max(differences)),
        max_rel_error=_number(np.max(np.array(differences) / np.maximum(scales, 1e-12))),
        label_agreement=same / sum(a.size for a, _ in labels),
        label_dice=min(_dice(labels, index) for index in range(1, num_classes)),
    )


def require_parity(record: ParityRecord, limits: ParityLimits) -> None:
    """Refuse an artefact that differs too much.

    Raises:
        ParityError: With the figures.
    """
    if record.max_abs_error <= limits.max_abs_error and record.label_agreement >= limits.min_label_agreement:
        return
    raise ParityError(
        record.engine,
        expected=f"logits within {limits.max_abs_error} and {limits.min_label_agreement:.2%} equal labels",
        found=f"{record.max_abs_error:.3g} and {record.label_agreement:.4%} on {record.num_patches} patches",
        remedy="Nothing was exported; report the genotype with these figures",
    )


def _dice(labels: list[tuple[np.ndarray, np.ndarray]], index: int) -> float:
    overlap = sum(int(((a == index) & (b == index)).sum()) for a, b in labels)
    total = sum(int((a == index).sum() + (b == index).sum()) for a, b in labels)
    return 2 * overlap / total if total else 1.0


def _number(value: np.floating) -> float:
    """A JSON number; an engine that answers NaN is as far off as can be."""
    return float(value) if np.isfinite(value) else 1e30
