"""Folds are nnU-Net's, and no case is on two sides."""

import numpy as np
import pytest
from sklearn.model_selection import KFold

from scnas_deploy.errors import ConfigError
from scnas_deploy.training.folds import fold_split, search_split


@pytest.mark.parametrize("num_cases", [5, 7, 16, 220])
def test_folds_equal_scikit_learns(num_cases):
    ids = [f"case_{number:03d}" for number in range(num_cases)]
    folds = KFold(5, shuffle=True, random_state=12345).split(np.array(ids))
    for fold, (training, validation) in enumerate(folds):
        split = fold_split(ids[::-1], fold)
        assert split.training == tuple(ids[i] for i in training)
        assert split.validation == tuple(ids[i] for i in validation)


def test_too_few_cases_or_no_such_fold_are_refused():
    with pytest.raises(ConfigError, match="at least 5 cases"):
        fold_split(["a", "b"], 0)
    with pytest.raises(ConfigError, match="fold 5"):
        fold_split(list("abcdefg"), 5)


def test_search_splits_four_to_one_without_overlap():
    ids = [f"{number:03d}" for number in range(176)]
    weights, architecture = search_split(ids, seed=3)
    assert len(architecture) == 35
    assert sorted([*weights, *architecture]) == ids
    assert search_split(ids[::-1], seed=3) == (weights, architecture)
    assert search_split(ids, seed=4)[1] != architecture
