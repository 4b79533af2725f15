"""Each operation keeps the channels and answers at its stride."""

import pytest
import torch

from scnas_deploy.networks.genotype import PARAMETER_FREE, Operation
from scnas_deploy.networks.operations import make_operation


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("operation", list(Operation))
def test_every_operation_keeps_channels_and_strides(operation, stride):
    result = make_operation(operation, 6, stride)(torch.randn(2, 6, 16, 8, 12))
    assert result.shape == (2, 6, 16 // stride, 8 // stride, 12 // stride)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("operation", sorted(PARAMETER_FREE | {Operation.ZERO}))
def test_shared_operations_have_no_parameters(operation):
    assert not list(make_operation(operation, 4, 2).parameters())


@pytest.mark.parametrize(
    ("operation", "reach"),
    [(Operation.CONV, 1), (Operation.SEPARABLE_2, 2), (Operation.SEPARABLE_3, 3), (Operation.SEPARABLE_4, 4)],
)
def test_a_convolution_reaches_as_far_as_its_dilation(operation, reach):
    torch.manual_seed(0)
    layers = make_operation(operation, 2, 1)
    conv = layers.conv if operation is Operation.CONV else layers.depthwise
    impulse = torch.zeros(1, 2, 11, 11, 11)
    impulse[:, :, 5, 5, 5] = 1
    touched = (conv(impulse).abs().sum(dim=(0, 1)) > 0).nonzero()
    assert touched.min().item() == 5 - reach
    assert touched.max().item() == 5 + reach
    assert len(touched) == 27


def test_average_pooling_does_not_count_the_padding():
    pooled = make_operation(Operation.AVERAGE_POOL, 1, 1).pool(torch.ones(1, 1, 4, 4, 4))
    assert torch.equal(pooled, torch.ones_like(pooled))


def test_zero_answers_zeros():
    assert not make_operation(Operation.ZERO, 3, 2)(torch.ones(1, 3, 4, 4, 4)).any()
