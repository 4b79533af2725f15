"""A study becomes labels on its own grid: prepared, predicted and brought back within stated memory.

Legend: K classes, X Y Z voxels in NIfTI order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from scnas_deploy.data.mapped import mapped_array
from scnas_deploy.data.occupancy import Occupancy
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.preprocess import WayBack, prepare_along, way_back
from scnas_deploy.data.volume import Volume
from scnas_deploy.files import atomic_path
from scnas_deploy.inference.capacity import Forecast, forecast
from scnas_deploy.inference.memory import PeakMemory
from scnas_deploy.inference.predictor import Predictor, Progress
from scnas_deploy.types import LabelsXYZ


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelling:
    """How a study is labelled, beyond model and engine."""

    max_memory: int | None = None
    """Bytes that the study may take beside the model, its own voxels included; None for what the machine has left."""
    probabilities: Path | None = None
    """Where to write each class' probability: .npy, float16, (K, X, Y, Z) on the study's own grid."""
    progress: Progress | None = None
    """Called after each patch."""
    announce: Callable[[Forecast], None] | None = None
    """Called with what the study will take, before it takes it."""


@dataclass(frozen=True, eq=False, slots=True)
class Labelled:
    """Labels on the study's own grid, and what they took."""

    labels_XYZ: LabelsXYZ
    forecast: Forecast
    taken_bytes: int | None
    """What the study took at its peak, as the forecast counts it; None where the system does not tell."""


def label_study(
    volume: Volume,
    plan: Plan,
    predictor: Predictor,
    how: Labelling,
    *,
    believe_empty: Callable[[], None] | None = None,
) -> Labelled:
    """Prepare a study, predict it and bring the labels back to its own grid.

    Args:
        volume: The study.
        plan: How it is prepared.
        predictor: Predicts it.
        how: Within what memory, and what else is wanted.
        believe_empty: Called where no structure was found; raises where that is not to be believed.

    Raises:
        FormatError: If the channels are not the plan's or a voxel is not a number.
        CapacityError: If the study does not fit into memory; nothing has been computed then.
        EngineError: If the engine fails.
        OutputError: If the probabilities cannot be written.
    """
    back = way_back(volume, plan)
    said = forecast(volume, back, plan, predictor, limit=how.max_memory, probabilities=how.probabilities is not None)
    if how.announce is not None:
        how.announce(said)
    memory = PeakMemory()
    with _probabilities(how.probabilities, back, plan.num_classes, said.sweep.axis) as probabilities_KXYZ:
        image_CXYZ = prepare_along(volume, plan, back)
        occupancy = Occupancy(volume, back) if plan.crop == "nonzero" else None
        labels_XYZ = predictor.predict(
            image_CXYZ, how.progress, sweep=said.sweep, occupancy=occupancy, probabilities_KXYZ=probabilities_KXYZ
        )
        del image_CXYZ
        if believe_empty is not None and not labels_XYZ.any():
            believe_empty()
        restored = back.restore(labels_XYZ)
    taken = memory.above_start()
    return Labelled(restored, said, None if taken is None else taken + volume.data.nbytes)


@contextmanager
def _probabilities(
    target: Path | None, back: WayBack, num_classes: int, swept_axis: int
) -> Iterator[np.ndarray | None]:
    """An array for the probabilities on the prepared grid, that lie on the study's own grid in the end.

    The disk's space for both is taken before anything is computed. On the prepared grid planes across the swept axis
    lie together, so that only the pages of those which are being written are in memory.
    """
    if target is None:
        yield None
        return
    with atomic_path(target) as temporary, TemporaryDirectory(prefix=".scnas-", dir=target.parent) as folder:
        shape = back.prepared.shape
        planes_first = shape[swept_axis], *shape[:swept_axis], *shape[swept_axis + 1 :]
        prepared = mapped_array(Path(folder) / "prepared.npy", (num_classes, *planes_first))
        prepared_KXYZ = np.moveaxis(prepared, 1, swept_axis + 1)
        restored_KXYZ = mapped_array(temporary, (num_classes, *back.study_shape))
        yield prepared_KXYZ
        back.restore_probabilities(prepared_KXYZ, restored_KXYZ)
