"""Overlap as a loss: the Jaccard distance and the Dice loss.

Legend: B batch, K classes, X Y Z voxels.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

_SMOOTH = 1e-5

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits (B, K, X, Y, Z) and class indices (B, X, Y, Z), averaged over samples."""


def jaccard_distance(logits_BKXYZ: Tensor, classes_BXYZ: Tensor, *, plain: bool = False) -> Tensor:
    """Soft Jaccard distance, averaged over classes (background included) and samples.

    The default is Kayalibay's form, ``1 - sum(ty) / (sum(t^2) + sum(p^2) - sum(ty))`` ("tanimoto");
    ``plain`` leaves out the squares.

    Args:
        logits_BKXYZ: Class scores before the softmax.
        classes_BXYZ: Class indices, int64.
        plain: Use sums instead of sums of squares.

    Returns:
        A scalar in [0, 1]; the mean over samples, so that equal shares of a batch may be computed apart.

    Reference:
        Kayalibay et al. 2017, arXiv 1701.03056, section 3.3; Kim et al. 2019, arXiv 1906.05956, section 3.
    """
    probability, truth = _flatten(logits_BKXYZ, classes_BXYZ)
    overlap = (probability * truth).sum(-1)
    power = 1 if plain else 2
    union = truth.sum(-1) + probability.pow(power).sum(-1) - overlap
    return 1 - torch.mean((overlap + _SMOOTH) / (union + _SMOOTH))


def dice_loss(logits_BKXYZ: Tensor, classes_BXYZ: Tensor) -> Tensor:
    """One minus the soft Dice, ``2 sum(ty) / (sum(t) + sum(p))``, averaged over classes and samples.

    The loss of RONASMIS' children (Bae et al. 2019, arXiv 1909.00548).

    Args:
        logits_BKXYZ: Class scores before the softmax.
        classes_BXYZ: Class indices, int64.
    """
    probability, truth = _flatten(logits_BKXYZ, classes_BXYZ)
    overlap = (probability * truth).sum(-1)
    return 1 - torch.mean((2 * overlap + _SMOOTH) / (truth.sum(-1) + probability.sum(-1) + _SMOOTH))


def deeply_supervised(loss: Loss, maps: Sequence[Tensor], classes_BXYZ: Tensor) -> Tensor:
    """Weigh the losses of a network's maps, the finest first, each half as much as the one before; they sum to one."""
    weights = torch.tensor([0.5**number for number in range(len(maps))], device=maps[0].device)
    losses = torch.stack([loss(logits, classes_BXYZ) for logits in maps])
    return (weights * losses).sum() / weights.sum()


def _flatten(logits_BKXYZ: Tensor, classes_BXYZ: Tensor) -> tuple[Tensor, Tensor]:
    """Return probability and truth, (B, K, voxels)."""
    probability = logits_BKXYZ.float().softmax(dim=1).flatten(2)
    truth = one_hot(classes_BXYZ, logits_BKXYZ.shape[1]).movedim(-1, 1).flatten(2).to(probability.dtype)
    return probability, truth
