"""The paper's baseline costs what the paper says, and what it answers depends on each of its parts."""

import pytest
import torch

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.genotype import UResNetArchitecture
from tests.networks.test_complexity import flops


def test_it_costs_what_the_paper_reports():
    """Kim et al. 2019, table 3: 419.59 G on four channels of 128^3."""
    cost = count(UResNetArchitecture(), in_channels=4, num_classes=4, patch_size=(128, 128, 128))
    assert cost.gmacs == pytest.approx(419.5, abs=0.5)
    assert cost.num_parameters == pytest.approx(5.33e6, rel=0.01)
    assert cost.gmacs == pytest.approx(flops(UResNetArchitecture(), 4, 4, (128, 128, 128)) / 2e9, rel=0.001)


def test_every_parameter_takes_part():
    torch.manual_seed(0)
    network = build(UResNetArchitecture(stem_channels=4), in_channels=2, num_classes=3)
    logits = network(torch.randn(2, 2, 16, 24, 16))
    assert logits.shape == (2, 3, 16, 24, 16)
    logits.square().mean().backward()
    without = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]
    # What only shifts a channel before a norm has no effect: the norm takes it out again.
    assert set(without) <= {f"gates.{level}.out.bias" for level in range(3)}
