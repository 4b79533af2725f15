"""Operation sampling does what Algorithm 1 says."""

import itertools
import math

import pytest
import torch

from scnas_deploy.search.sampling import draw_cell, relax, temperature


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_gumbel_softmax_samples_its_distribution():
    """At any temperature the largest of Z is distributed as softmax(alpha): the Gumbel-max trick."""
    alpha = torch.tensor([1.0, 0.0, -1.0, 2.0]).expand(20_000, 4)
    winners = relax(alpha, 0.5, generator()).argmax(dim=-1)
    observed = torch.bincount(winners, minlength=4) / len(winners)
    torch.testing.assert_close(observed, alpha[0].softmax(dim=0), atol=0.015, rtol=0)


@pytest.mark.parametrize("sampling", ["two", "top2"])
def test_weights_of_two_sum_to_one_in_the_ratio_of_z(sampling):
    alpha = torch.randn(14, 8, generator=generator(3))
    draws = draw_cell(alpha, 1.0, sampling, generator(4))
    relaxed = relax(alpha, 1.0, generator(4))
    pairs = [(edge, draw) for edge, draw in enumerate(draws) if not draw.is_single]
    assert pairs
    for edge, draw in pairs:
        assert len(set(draw.operations)) == 2
        assert draw.weights.sum().item() == pytest.approx(1)
        first, second = relaxed[edge, list(draw.operations)]
        assert (draw.weights[0] / draw.weights[1]).item() == pytest.approx((first / second).item(), rel=1e-4)


def test_two_draws_with_replacement_coincide_as_z_turns_one_hot():
    alpha = torch.zeros(2000, 8)
    singles = {
        tau: sum(draw.is_single for draw in draw_cell(alpha, tau, "two", generator())) / 2000 for tau in (10.0, 0.05)
    }
    assert singles[10.0] == pytest.approx(1 / 8, abs=0.03)
    assert singles[0.05] > 0.9


def test_a_duplicate_runs_once_with_weight_one_and_gives_alpha_no_gradient():
    alpha = torch.full((14, 8), -50.0)
    alpha[:, 2] = 50.0
    draws = draw_cell(alpha.requires_grad_(), 1.0, "two", generator())
    assert all(draw.operations == (2,) and draw.weights.item() == 1 for draw in draws)
    assert not any(draw.weights.requires_grad for draw in draws)


def test_the_gradient_of_a_pair_is_that_of_the_rescaled_softmax():
    """w1 = z1 / (z1 + z2), so the derivative with respect to alpha_1 is w1 w2 / tau, and zero elsewhere."""
    alpha = torch.zeros(14, 8, dtype=torch.float64).requires_grad_()
    draw = next(draw for draw in draw_cell(alpha, 0.7, "two", generator(1)) if not draw.is_single)
    (gradient,) = torch.autograd.grad(draw.weights[0], alpha)
    edge = gradient.abs().sum(dim=1).argmax()
    w1, w2 = draw.weights.tolist()
    expected = torch.zeros(8, dtype=torch.float64)
    expected[draw.operations[0]], expected[draw.operations[1]] = w1 * w2 / 0.7, -w1 * w2 / 0.7
    torch.testing.assert_close(gradient[edge], expected, atol=1e-6, rtol=1e-4)


def test_one_draw_passes_its_gradient_straight_through():
    alpha = torch.zeros(14, 8).requires_grad_()
    draws = draw_cell(alpha, 1.0, "one", generator())
    assert all(draw.is_single and draw.weights.item() == pytest.approx(1) for draw in draws)
    sum(draw.weights.sum() for draw in draws).backward()
    assert (alpha.grad.abs().sum(dim=1) > 0).all()


def test_full_executes_everything():
    draws = draw_cell(torch.zeros(14, 8), 1.0, "full", generator())
    assert all(draw.operations == tuple(range(8)) for draw in draws)
    assert all(draw.weights.sum().item() == pytest.approx(1) for draw in draws)


def test_the_same_seed_draws_the_same_operations():
    alpha = torch.randn(14, 8)
    first, second = (draw_cell(alpha, 1.0, "two", generator(9)) for _ in range(2))
    assert [draw.operations for draw in first] == [draw.operations for draw in second]


def test_temperature_falls_linearly_from_start_to_end():
    steps = [temperature(step, 101, 10.0, 0.1) for step in range(101)]
    assert steps[0] == 10.0
    assert steps[-1] == pytest.approx(0.1)
    assert math.isclose(steps[50], 5.05)


def test_an_exponential_schedule_falls_by_the_same_factor_each_step():
    steps = [temperature(step, 5, 10.0, 0.1, "exponential") for step in range(5)]
    assert steps[0] == 10.0
    assert steps[-1] == pytest.approx(0.1)
    assert [later / earlier for earlier, later in itertools.pairwise(steps)] == pytest.approx([0.01**0.25] * 4)
