"""Splitting cases: nnU-Net's five folds, and the search's 4:1 split within a fold's training part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scnas_deploy.errors import ConfigError

NUM_FOLDS = 5
_FOLD_SEED = 12345


@dataclass(frozen=True, slots=True)
class Split:
    """Case ids of one fold, each part sorted."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def fold_split(case_ids: Sequence[str], fold: int) -> Split:
    """Return one of nnU-Net's five folds.

    The same cases as scikit-learn's ``KFold(5, shuffle=True, random_state=12345)`` over the sorted ids,
    written out so that evaluating a package needs no scikit-learn.

    Raises:
        ConfigError: If there are fewer cases than folds, or no such fold.
    """
    if not 0 <= fold < NUM_FOLDS or len(case_ids) < NUM_FOLDS:
        raise ConfigError(
            "folds",
            expected=f"a fold from 0 to {NUM_FOLDS - 1} and at least {NUM_FOLDS} cases",
            found=f"fold {fold} and {len(case_ids)} cases",
            remedy="Choose another fold or add cases",
        )
    ids = sorted(case_ids)
    order = np.arange(len(ids))
    np.random.RandomState(_FOLD_SEED).shuffle(order)  # the generator scikit-learn uses
    sizes = [len(ids) // NUM_FOLDS + (number < len(ids) % NUM_FOLDS) for number in range(NUM_FOLDS)]
    start = sum(sizes[:fold])
    held_out = set(order[start : start + sizes[fold]].tolist())
    return Split(
        training=tuple(case for index, case in enumerate(ids) if index not in held_out),
        validation=tuple(case for index, case in enumerate(ids) if index in held_out),
    )


def search_split(training_ids: Sequence[str], seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a fold's training cases 4:1 into those for the weights and those for the architecture.

    Reference:
        Kim et al. 2019, arXiv 1906.05956, section 3: the training part is split 4:1 for Theta and alpha.
    """
    ids = sorted(training_ids)
    order = np.random.default_rng(seed).permutation(len(ids))
    for_architecture = set(order[: max(1, len(ids) // 5)].tolist())
    weights = tuple(case for index, case in enumerate(ids) if index not in for_architecture)
    architecture = tuple(case for index, case in enumerate(ids) if index in for_architecture)
    return weights, architecture
