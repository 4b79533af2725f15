"""Patches of held-out cases on which supernet, derived and retrained network are compared; a report, no decision.

Legend: B batch (here one), C channels, K classes, X Y Z voxels in NIfTI order.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

from scnas_deploy.data.plan import Plan
from scnas_deploy.training.augmentation import NO_AUGMENTATION, Augmentation
from scnas_deploy.training.evaluation import dice, mean_of_known
from scnas_deploy.training.patches import PatchStream, Sample
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.training.trainer import mixed_precision, to_device

NUM_PATCHES: Final = 16
"""How many there are; ours to choose. At this number a pass takes seconds where a search takes minutes."""


class ReportPatches:
    """The same patches for everyone who asks with the same cases and plan, one at a time, without augmentation.

    Each is centred on a voxel of a random foreground class of a random case; no run's seed has a part in it.

    Args:
        cases: The cases that a fold holds out, in the order of its split.
        plan: Patch size and classes.
    """

    def __init__(self, cases: Sequence[PreparedCase], plan: Plan) -> None:
        plain = Augmentation(NO_AUGMENTATION, plan.patch_size, ())
        self._stream = PatchStream(cases, plain, foreground=1.0, key=("report",))
        self._num_classes = plan.num_classes

    def __iter__(self) -> Iterator[Sample]:
        return self._stream.batches(0, NUM_PATCHES, 1)

    def digest(self) -> str:
        """SHA-256 of all voxels and classes: two reports with the same one are of the same patches."""
        digest = hashlib.sha256()
        for image, classes in self:
            digest.update(image.numpy().tobytes())
            digest.update(classes.numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def mean_dice(self, network: Callable[[int, Tensor], Tensor], device: torch.device) -> float | None:
        """Score a network patch by patch.

        Args:
            network: From a patch's number and image (1, C, X, Y, Z) to logits (1, K, X, Y, Z).
            device: Where it computes.

        Returns:
            The mean over foreground classes of their mean Dice over the patches in which mask or answer has them;
            None where no patch has any.
        """
        scores: list[list[float | None]] = [[] for _ in range(1, self._num_classes)]
        for number, sample in enumerate(self):
            image, truth = to_device(sample, device)
            with mixed_precision(device):
                predicted = network(number, image).argmax(dim=1)
            for index, of_class in enumerate(scores, 1):
                of_class.append(dice((truth[0] == index).cpu().numpy(), (predicted[0] == index).cpu().numpy()))
        return mean_of_known([mean_of_known(of_class) for of_class in scores])
