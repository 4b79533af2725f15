"""Patches for a report are the same for everyone, and their Dice is what it says."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from scnas_deploy.training.prepared import PreparedCases
from scnas_deploy.training.report_patches import NUM_PATCHES, ReportPatches

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cases(phantom_dataset, phantom_plan, tmp_path_factory):
    ids = [case.id for case in phantom_dataset.cases[:2]]
    return PreparedCases(phantom_dataset, phantom_plan, tmp_path_factory.mktemp("cache")).load(ids)


@pytest.fixture
def patches(cases, phantom_plan):
    return ReportPatches(cases, phantom_plan)


def test_two_who_ask_get_the_same_patches_and_other_cases_give_others(cases, phantom_plan, patches):
    assert len(list(patches)) == NUM_PATCHES
    assert patches.digest() == ReportPatches(cases, phantom_plan).digest()
    assert patches.digest() != ReportPatches(cases[:1], phantom_plan).digest()
    smaller = phantom_plan.model_copy(update={"patch_size": (32, 24, 24)})
    assert patches.digest() != ReportPatches(cases, smaller).digest()


def test_each_patch_holds_foreground(patches):
    assert all(bool(classes.any()) for _, classes in patches)


def truth_of(patches):
    return [classes for _, classes in patches]


def test_a_network_that_knows_the_mask_scores_one_and_one_that_sees_nothing_zero(patches):
    truth = truth_of(patches)

    def knowing(number, _):
        return one_hot(truth[number], 3).movedim(-1, 1).float()

    def blind(number, _):
        return one_hot(torch.zeros_like(truth[number]), 3).movedim(-1, 1).float()

    assert patches.mean_dice(knowing, CPU) == 1
    assert patches.mean_dice(blind, CPU) == 0


def test_each_class_counts_the_same(patches):
    """A network that finds one class everywhere it is and never the other scores a half."""
    truth = truth_of(patches)

    def of_one_class(number, _):
        return one_hot(torch.where(truth[number] == 1, 1, 0), 3).movedim(-1, 1).float()

    assert patches.mean_dice(of_one_class, CPU) == pytest.approx(0.5)


def test_without_foreground_there_is_no_score(cases, phantom_plan):
    empty = [
        dataclasses.replace(
            case,
            classes_XYZ=np.zeros_like(case.classes_XYZ),
            places=tuple(places[:0] for places in case.places),
        )
        for case in cases
    ]
    patches = ReportPatches(empty, phantom_plan)
    assert patches.mean_dice(lambda *_: torch.eye(3)[:1, :, None, None, None].expand(1, 3, 24, 24, 24), CPU) is None
