"""The Jaccard distance as a loss.

Legend: B batch, K classes, X Y Z voxels.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

_SMOOTH = 1e-5


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
    probability = logits_BKXYZ.float().softmax(dim=1).flatten(2)
    truth = one_hot(classes_BXYZ, logits_BKXYZ.shape[1]).movedim(-1, 1).flatten(2).to(probability.dtype)
    overlap = (probability * truth).sum(-1)
    power = 1 if plain else 2
    union = truth.sum(-1) + probability.pow(power).sum(-1) - overlap
    return 1 - torch.mean((overlap + _SMOOTH) / (union + _SMOOTH))
