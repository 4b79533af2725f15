"""The canary: an engine answers a patch whose answer is known before it is called ready.

Half-precision engines of other tools have silently answered nothing but background; and an engine that keeps one
buffer for several calls, or a server that puts requests together, can hand one patch the answer to another.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from threading import Barrier

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.canary_limits import limits_of
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.manifest import CanaryRecord
from scnas_deploy.inference.overlap import Overlap
from scnas_deploy.inference.package import Canary
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ

_PART_OF_DISTANCE = 0.1
"""An answer belongs to a patch if it is ten times nearer to it than the answers to different patches are."""


def check_canary(engine: Engine, canary: Canary, proven: CanaryRecord | None = None) -> CanaryRecord:
    """Refuse an engine that does not compute what the network computed when it was exported.

    Args:
        engine: Ready.
        canary: The package's.
        proven: How far the artefact that it runs was off at its export; None while it is being exported.

    Returns:
        How far it is off.

    Raises:
        EngineError: With what is wrong with the answer.
    """
    limits = limits_of(engine.precision, canary, proven)
    logits_BKXYZ = engine.run(canary.patches_BCXYZ)
    fault = _fault(logits_BKXYZ, canary)
    if fault is None:
        found, least_dice = _distance(logits_BKXYZ, canary)
        if limits.are_kept_by(found, least_dice):
            return found
        fault = f"a largest difference of {found.max_abs_error:.3g} and {found.label_agreement:.2%} of the labels"
        fault += f", of one class {least_dice:.2f}"
    raise EngineError(
        engine.name,
        expected=f"the package's canary answer within {limits.max_abs_error:.2g} and {limits.min_agreement:.2%} of its "
        f"labels, of each class {limits.min_dice} in Dice",
        found=fault,
        remedy="Do not use this engine for this model; try another with --engine",
    )


def _fault(logits: np.ndarray, canary: Canary) -> str | None:
    """What makes an answer none at all, if anything does."""
    if logits.shape != canary.logits_BKXYZ.shape:
        return f"logits of the shape {logits.shape}"
    if not np.isfinite(logits).all():
        return "NaN or infinity"
    if canary.classes_XYZ.any() and not logits[0].argmax(axis=0).any():
        return "nothing but background"
    return None


def _distance(logits_BKXYZ: LogitsBKXYZ, canary: Canary) -> tuple[CanaryRecord, float]:
    """How far an answer is off, and its lowest Dice of a class."""
    overlap = Overlap(logits_BKXYZ.shape[1])
    overlap.add(logits_BKXYZ[0].argmax(axis=0), canary.classes_XYZ)
    error = float(np.abs(logits_BKXYZ - canary.logits_BKXYZ).max())
    return CanaryRecord(max_abs_error=error, label_agreement=overlap.agreement), overlap.least_dice()


def check_batches(engine: Engine, canary: Canary, batch: int) -> None:
    """Refuse an engine that mixes up the patches of a batch or of calls at the same time.

    The canary and its mirror images are answered one by one, then in one batch, then in as many calls at a time as the
    engine takes; each must get its own answer again. There is nothing to do for single patches, one call at a time.

    Args:
        engine: Has answered the canary.
        canary: The package's.
        batch: Patches of a call, as the engine will be used.

    Raises:
        EngineError: If it does, or fails.
    """
    ways = ((batch, _run_batch, "in a batch"), (engine.concurrency, _run_together, "in calls at a time"))
    most = max(batch, engine.concurrency)
    if most == 1:
        return
    images = _mirror_images(canary.patches_BCXYZ)[:most]
    alone = [engine.run(image) for image in images]
    limit = min(limits_of(engine.precision, canary).max_abs_error, _PART_OF_DISTANCE * _nearest(alone))
    for count, run, together in ways:
        order = [(place + place // len(images)) % len(images) for place in range(count)]
        answers = run(engine, [images[number] for number in order])
        for number, answer in zip(order, answers, strict=True):
            _require_same(engine, alone[number], answer, limit, together)


def _require_same(engine: Engine, alone: np.ndarray, answer: np.ndarray, limit: float, together: str) -> None:
    error = float(np.abs(answer - alone).max()) if answer.shape == alone.shape else np.inf
    if not error <= limit:
        raise EngineError(
            engine.name,
            expected=f"the same answer to a patch alone and with others {together}, within {limit:.2g}",
            found=f"a largest difference of {error:.3g}: it mixes up patches",
            remedy="Do not use this engine for this model; try another with --engine",
        )


def _nearest(answers: list[LogitsBKXYZ]) -> float:
    """How far the answers to the mirror images are from that to the canary, the nearest of them."""
    return min(float(np.abs(answer - answers[0]).max()) for answer in answers[1:])


def _mirror_images(patches_BCXYZ: PatchesBCXYZ) -> list[PatchesBCXYZ]:
    """The canary and its seven mirror images."""
    subsets = (axes for size in range(4) for axes in combinations((2, 3, 4), size))
    return [np.ascontiguousarray(np.flip(patches_BCXYZ, axes)) for axes in subsets]


def _run_batch(engine: Engine, patches: list[PatchesBCXYZ]) -> list[np.ndarray]:
    """Answer the patches at once."""
    return np.array_split(engine.run(np.concatenate(patches)), len(patches))


def _run_together(engine: Engine, patches: list[PatchesBCXYZ]) -> list[np.ndarray]:
    """Answer each patch in a thread of its own, all of them starting at one moment."""
    start = Barrier(len(patches))

    def answer(patch_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        start.wait()
        return engine.run(patch_BCXYZ)

    with ThreadPoolExecutor(len(patches)) as threads:
        return list(threads.map(answer, patches))
