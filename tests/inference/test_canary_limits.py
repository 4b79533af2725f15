"""What an artefact of lower precision may differ by depends on what it did at its export."""

import numpy as np
import pytest

from scnas_deploy.inference.canary_limits import EXACT, SLACK, limits_of
from scnas_deploy.inference.manifest import CanaryRecord
from scnas_deploy.inference.package import Canary

SIZE = (4, 4, 4)


@pytest.fixture
def canary() -> Canary:
    logits = np.zeros((1, 2, *SIZE), np.float32)
    logits[0, 0, 0, 0, 0] = -20
    return Canary(np.zeros((1, 1, *SIZE), np.float32), logits, np.zeros(SIZE, np.uint8))


def record(error: float, agreement: float) -> CanaryRecord:
    return CanaryRecord(max_abs_error=error, label_agreement=agreement)


def test_in_float32_nothing_changes_the_limits(canary):
    assert limits_of("float32", canary, record(3, 0.5)) == limits_of("float32", canary) == EXACT


@pytest.mark.parametrize(("precision", "error", "agreement"), [("float16", 1.0, 0.99), ("int8", 10.0, 0.9)])
def test_at_the_export_they_follow_the_networks_logits(precision, error, agreement, canary):
    limits = limits_of(precision, canary)
    assert (limits.max_abs_error, limits.min_agreement) == (pytest.approx(error), agreement)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_afterwards_they_are_a_multiple_of_what_the_export_found(precision, canary):
    limits = limits_of(precision, canary, record(0.02, 0.9995))
    assert limits.max_abs_error == pytest.approx(SLACK[precision] * 0.02)
    assert limits.min_agreement == pytest.approx(1 - SLACK[precision] * 0.0005)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_they_are_never_wider_than_at_the_export(precision, canary):
    assert limits_of(precision, canary, record(1e9, -1e9)) == limits_of(precision, canary)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_they_are_never_narrower_than_in_float32(precision, canary):
    assert limits_of(precision, canary, record(0, 1)) == EXACT
