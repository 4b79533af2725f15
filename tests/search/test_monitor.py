"""The monitor tells a search that decides from one that collapses or stands still."""

import json

import pytest
import torch

from scnas_deploy.networks.genotype import Operation
from scnas_deploy.search.monitor import Monitor

OPERATIONS = tuple(Operation)


def alpha_choosing(*operations):
    """Architecture parameters whose strongest operations are these, in turns."""
    alpha = torch.zeros(4, 14, 8)
    for edge in range(4 * 14):
        alpha.view(-1, 8)[edge, OPERATIONS.index(operations[edge % len(operations)])] = 5
    return alpha


def test_a_collapse_to_identity_is_warned_of():
    monitor = Monitor(OPERATIONS)
    record = monitor.observe(alpha_choosing(Operation.IDENTITY, Operation.CONV))
    assert record["identity_fraction"] == 0.5
    assert record["zero_fraction"] == 0
    assert "identity is the strongest operation of 50% of the edges" in monitor.warnings[0]
    assert record["warnings"] == list(monitor.warnings)


def test_a_varied_architecture_is_not():
    monitor = Monitor(OPERATIONS)
    assert "warnings" not in monitor.observe(alpha_choosing(*OPERATIONS))
    assert not monitor.warnings


def test_stable_epochs_count_while_nothing_changes():
    monitor = Monitor(OPERATIONS)
    counts = [monitor.observe(alpha_choosing(Operation.CONV))["stable_epochs"] for _ in range(3)]
    assert counts == [0, 1, 2]
    changed = alpha_choosing(Operation.CONV)
    changed[0, 0] = torch.arange(8)
    record = monitor.observe(changed)
    assert record["stable_epochs"] == 0
    assert record["unchanged_fraction"] == pytest.approx(55 / 56)


def test_a_resumed_monitor_goes_on_counting():
    first, second = Monitor(OPERATIONS), Monitor(OPERATIONS)
    for _ in range(3):
        first.observe(alpha_choosing(Operation.ZERO))
    second.restore(first.state())
    assert second.warnings == first.warnings
    assert second.observe(alpha_choosing(Operation.ZERO)) == first.observe(alpha_choosing(Operation.ZERO))


def test_the_share_of_each_operation_is_followed_by_cell_type():
    probability = Monitor(OPERATIONS).observe(torch.zeros(4, 14, 8))["probability"]
    assert list(probability) == ["reduction", "encoder", "expansion", "decoder"]
    for shares in probability.values():
        assert list(shares) == [operation.value for operation in OPERATIONS]
        assert sum(shares.values()) == pytest.approx(1)


def test_what_each_edge_prefers_is_followed_in_few_digits():
    alpha = torch.zeros(4, 14, 8)
    alpha[1, 5, OPERATIONS.index(Operation.MAX_POOL)] = 5
    edges = Monitor(OPERATIONS).observe(alpha)["edge_probability"]
    assert list(edges) == ["reduction", "encoder", "expansion", "decoder"]
    assert edges["encoder"][5] == pytest.approx([0.0064] * 4 + [0.9550] + [0.0064] * 3, abs=6e-5)
    assert edges["decoder"] == [[0.125] * 8] * 14
    assert len(json.dumps(edges)) < 6_000


def test_a_space_without_identity_has_none():
    monitor = Monitor((Operation.CONV, Operation.MAX_POOL))
    assert monitor.observe(torch.zeros(4, 14, 2))["identity_fraction"] == 0
