"""nnU-Net's network is nnU-Net's network."""

import pytest
import torch

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.genotype import PlainConvUNetArchitecture


def test_it_costs_what_nnu_nets_plan_for_hippocampus_says():
    cost = count(PlainConvUNetArchitecture(), in_channels=1, num_classes=3, patch_size=(40, 56, 40))
    assert cost.gmacs == pytest.approx(19.1, abs=0.05)
    assert cost.num_parameters == pytest.approx(5.60e6, rel=0.001)


def test_it_answers_logits_of_the_patch():
    network = build(PlainConvUNetArchitecture(stem_channels=4), in_channels=1, num_classes=3)
    assert network(torch.randn(1, 1, 16, 24, 16)).shape == (1, 3, 16, 24, 16)
