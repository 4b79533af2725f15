"""The estimated peak follows the counted one."""

import pytest
import torch

from scnas_deploy.networks.complexity import peak_activation_bytes
from scnas_deploy.networks.genotype import Operation
from scnas_deploy.search.expected_cost import one_hot
from scnas_deploy.search.peak_bytes import ExpectedPeakBytes
from scnas_deploy.search.random import random_architecture

OPERATIONS = tuple(Operation)
DENSE = (Operation.CONV, Operation.IDENTITY, Operation.ZERO)


@pytest.mark.parametrize("operations", [OPERATIONS, DENSE])
@pytest.mark.parametrize("seed", range(3))
def test_the_estimate_is_near_the_count(seed, operations):
    architecture = random_architecture(seed, 16, operations)
    counted = peak_activation_bytes(architecture, in_channels=1, num_classes=3, patch_size=(24, 32, 24))
    estimate = ExpectedPeakBytes(operations, 16, in_channels=1, patch_size=(24, 32, 24))
    assert estimate(one_hot(architecture.cells, operations)).item() == pytest.approx(counted, rel=0.12)


def test_fewer_dense_convolutions_take_less_memory():
    estimate = ExpectedPeakBytes(DENSE, 16, in_channels=1, patch_size=(24, 24, 24))
    alpha = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64).repeat(4, 14, 1).requires_grad_()
    estimate(torch.softmax(alpha, -1)).backward()
    assert alpha.grad[..., 0].max() > 0
    assert alpha.grad[..., 0].min() >= 0
