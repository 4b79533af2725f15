"""The canary sees every class and no patient."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from scnas_deploy.errors import ExportError
from scnas_deploy.export.canary import make_canary
from scnas_deploy.inference.canary import check_canary
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.inference.package import open_package


@pytest.fixture(scope="module")
def canary(exported):
    return make_canary(copy.deepcopy(exported.network).cpu(), 1, 3, (24, 24, 24))


def test_every_class_is_seen(canary):
    shares = np.bincount(canary.classes_XYZ.ravel(), minlength=3) / canary.classes_XYZ.size
    assert len(shares) == 3
    assert shares.min() >= 0.005


def test_the_answers_are_the_networks_own(canary, network):
    with torch.no_grad():
        logits = network(torch.from_numpy(canary.patches_BCXYZ)).numpy()
    np.testing.assert_allclose(canary.logits_BKXYZ, logits, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(canary.classes_XYZ, canary.logits_BKXYZ[0].argmax(axis=0))


def test_the_packages_own_shows_every_class_and_the_networks_answers(exported, network):
    stored = open_package(exported.package).canary
    assert np.bincount(stored.classes_XYZ.ravel(), minlength=3).min() >= 0.005 * stored.classes_XYZ.size
    check_canary(TorchEngine(network), stored)


def test_making_it_leaves_the_network_as_it_was(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    make_canary(network, 1, 3, (24, 24, 24))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


class Threshold(nn.Module):
    """Answers class k where the patch is near k, and some class never where told so."""

    def __init__(self, never=None):
        super().__init__()
        self.never = never

    def forward(self, patches):
        logits = [-((patches[:, 0] - index) ** 2) for index in range(4)]
        if self.never is not None:
            logits[self.never] = logits[self.never] - 100
        return torch.stack(logits, dim=1)


def test_classes_that_noise_alone_never_reaches_are_brought_about():
    canary = make_canary(Threshold(), 1, 4, (16, 24, 32))
    assert canary.patches_BCXYZ.shape == (1, 1, 16, 24, 32)
    assert set(np.unique(canary.classes_XYZ)) == {0, 1, 2, 3}


@pytest.mark.parametrize("never", [0, 2])
def test_a_network_that_never_answers_some_class_is_not_exported(never):
    with pytest.raises(ExportError, match="can answer all of its 4 classes"):
        make_canary(Threshold(never), 1, 4, (16, 16, 16))
