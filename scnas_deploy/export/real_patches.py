"""The real images an export is proven on, of cases held out from training, and calibrated with, of training cases."""

from pathlib import Path
from typing import Final

import numpy as np

from scnas_deploy.data.dataset import Dataset
from scnas_deploy.export.parity import RealPatches
from scnas_deploy.inference.tiling import padding, whole_size
from scnas_deploy.networks.genotype import whole_multiple
from scnas_deploy.training.augmentation import NO_AUGMENTATION, Augmentation
from scnas_deploy.training.folds import fold_split
from scnas_deploy.training.patches import PatchStream
from scnas_deploy.training.prepared import PreparedCase, PreparedCases
from scnas_deploy.training.runs import RunFolder
from scnas_deploy.types import PatchesBCXYZ, Shape3

NUM_PARITY: Final = 10
NUM_CALIBRATION: Final = 32


class RealImages:
    """A run's cases, prepared as the network sees them.

    Args:
        run: A training run.
        dataset: Its dataset.
        cache: Folder of prepared cases.
    """

    def __init__(self, run: RunFolder, dataset: Dataset, cache: Path) -> None:
        self._plan = run.network_plan()
        self._multiple = whole_multiple(run.genotype().architecture)
        self._prepared = PreparedCases(dataset, self._plan, cache)
        self._split = fold_split([case.id for case in dataset.cases], run.record().fold)

    def for_parity(self) -> list[RealPatches]:
        """Patches of held-out cases around foreground; of a network that takes whole volumes, whole cases."""
        cases = self._prepared.load(self._split.validation[:NUM_PARITY])
        if self._multiple is not None:
            return [_whole(case, self._plan.patch_size, self._multiple) for case in cases]
        stream = self._stream(cases, foreground=1.0, purpose="parity")
        samples = [stream[number] for number in range(NUM_PARITY)]
        return [RealPatches(image.numpy()[None], classes.numpy()[None]) for image, classes in samples]

    def for_calibration(self) -> list[PatchesBCXYZ]:
        """Patches of training cases, half of them around foreground and half of them anywhere, as in a study."""
        ids = self._split.training
        stream = self._stream(
            self._prepared.load(ids[:: max(1, len(ids) // NUM_CALIBRATION)]), foreground=0.5, purpose="calibration"
        )
        return [stream[number][0].numpy()[None] for number in range(NUM_CALIBRATION)]

    def _stream(self, cases: list[PreparedCase], *, foreground: float, purpose: str) -> PatchStream:
        plain = Augmentation(NO_AUGMENTATION, self._plan.patch_size, ())
        return PatchStream(cases, plain, foreground=foreground, key=(purpose,))


def _whole(case: PreparedCase, patch_size: Shape3, multiple: int) -> RealPatches:
    """A whole case as the predictor hands it to the engine."""
    pads = padding(case.classes_XYZ.shape, whole_size(case.classes_XYZ.shape, patch_size, multiple))
    return RealPatches(np.pad(case.image_CXYZ, ((0, 0), *pads))[None], np.pad(case.classes_XYZ, pads)[None])
