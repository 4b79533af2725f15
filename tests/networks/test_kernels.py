"""Each kernel answers what PyTorch's layer answers: value and gradients."""

import pytest
import torch
from torch.nn import functional

from scnas_deploy.networks import kernels

SHAPES = [(2, 4, 8, 6, 10), (1, 3, 4, 4, 4), (3, 16, 24, 20, 28), (1, 1, 6, 8, 4)]


def image(shape, layout=torch.channels_last_3d):
    torch.manual_seed(0)
    return (torch.randn(shape) * 3 + 5).to(memory_format=layout).requires_grad_()


def assert_same(ours, library, *inputs):
    """Value and the gradients of all inputs, for a random gradient."""
    result, expected = ours(), library()
    assert result.shape == expected.shape
    assert_near(result, expected)
    gradient = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(result, inputs, gradient), torch.autograd.grad(expected, inputs, gradient), strict=True
    ):
        assert one.shape == other.shape
        assert_near(one, other)


def assert_near(one, other):
    """Within the rounding of sums as large as the largest."""
    torch.testing.assert_close(one, other, atol=4e-6 * float(other.detach().abs().max().clamp(min=1)), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
def test_depthwise_convolution(shape, stride, dilation):
    x = image(shape)
    weight = torch.randn(shape[1], 1, 3, 3, 3).requires_grad_()
    assert_same(
        lambda: kernels.depthwise_conv(x, weight, stride=stride, dilation=dilation),
        lambda: functional.conv3d(x, weight, None, stride, dilation, dilation, groups=shape[1]),
        x,
        weight,
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stride", [1, 2])
def test_pooling(shape, stride):
    x = image(shape)
    assert_same(lambda: kernels.max_pool(x, stride=stride), lambda: functional.max_pool3d(x, 3, stride, padding=1), x)
    assert_same(
        lambda: kernels.average_pool(x, stride=stride),
        lambda: functional.avg_pool3d(x, 3, stride, padding=1, count_include_pad=False),
        x,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_halving(shape):
    x = image(shape)
    assert_same(lambda: kernels.halve(x), lambda: functional.avg_pool3d(x, 2), x)


def test_concatenation():
    one, two = image((2, 3, 4, 4, 4)), image((2, 5, 4, 4, 4))
    assert_same(lambda: kernels.concatenate([one, two]), lambda: torch.cat([one, two], dim=1), one, two)


def test_a_weighted_sum():
    parts = [image((2, 3, 4, 4, 4)).detach().mul(scale).requires_grad_() for scale in (1, 2, 3)]
    weights = torch.tensor([0.2, 0.5, -1.0]).requires_grad_()
    single = weights.unbind()
    assert_same(
        lambda: kernels.weighted_sum(parts, single),
        lambda: sum(part * weight for part, weight in zip(parts, single, strict=True)),
        *parts,
        weights,
    )
    fixed = kernels.weighted_sum(parts, [weight.detach() for weight in single])
    assert_near(fixed, kernels.weighted_sum(parts, single))


@pytest.mark.parametrize("stride", [1, 2])
def test_of_equal_voxels_the_same_one_gets_the_gradient(stride):
    x = torch.randint(0, 3, (1, 2, 8, 8, 8)).float().requires_grad_()
    assert_same(lambda: kernels.max_pool(x, stride=stride), lambda: functional.max_pool3d(x, 3, stride, padding=1), x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format])
def test_instance_norm(shape, layout):
    x = image(shape, layout)
    weight, bias = torch.randn(2, shape[1]).requires_grad_().unbind()
    assert_same(
        lambda: kernels.instance_norm(x, weight, bias, 1e-5),
        lambda: functional.instance_norm(x, weight=weight, bias=bias),
        x,
        weight,
        bias,
    )
    assert_same(lambda: kernels.instance_norm(x, None, None, 1e-5), lambda: functional.instance_norm(x), x)


def test_a_large_mean_costs_the_norm_no_digits():
    x = (torch.randn(2, 4, 16, 16, 16, dtype=torch.float64) + 1000).requires_grad_()
    expected = functional.instance_norm(x)
    torch.testing.assert_close(kernels.instance_norm(x.float(), None, None, 1e-5).double(), expected, atol=2e-3, rtol=0)


def test_the_number_of_threads_changes_no_bit():
    x = image((2, 8, 24, 24, 24))
    weight = torch.randn(8, 1, 3, 3, 3).requires_grad_()
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = kernels.instance_norm(kernels.depthwise_conv(x, weight, stride=1, dilation=2), None, None, 1e-5)
            results.append([y, *torch.autograd.grad(y.square().sum(), (x, weight))])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_what_the_kernels_are_not_made_for_goes_to_pytorch():
    x = image((1, 2, 5, 5, 5))
    assert kernels.max_pool(x, stride=2).shape == (1, 2, 3, 3, 3)
    assert kernels.instance_norm(x.double(), None, None, 1e-5).dtype == torch.float64
    with torch.no_grad():
        assert torch.equal(kernels.max_pool(x, stride=1), functional.max_pool3d(x, 3, 1, padding=1))
