"""Classes and probabilities of logits."""

import numpy as np
import pytest

from scnas_deploy.inference.reducing import softmax, strongest_class


@pytest.mark.parametrize("num_classes", [2, 3, 100, 300])
def test_the_strongest_class_is_argmax_the_first_of_equals(num_classes):
    logits = np.random.default_rng(num_classes).integers(-3, 4, (num_classes, 5, 6, 7)).astype(np.float32)
    np.testing.assert_array_equal(strongest_class(logits), logits.argmax(axis=0))


def test_probabilities_sum_to_one_and_follow_the_logits():
    logits = np.random.default_rng(0).normal(scale=8, size=(4, 6, 5, 4)).astype(np.float32)
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float16
    np.testing.assert_allclose(probabilities.sum(axis=0, dtype=np.float64), 1, atol=2e-3)
    exact = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(probabilities, exact / exact.sum(axis=0), atol=1e-3)


def test_large_logits_neither_overflow_nor_vanish():
    logits = np.array([1e4, -1e4, 1e4], dtype=np.float32).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(softmax(logits).ravel(), [0.5, 0, 0.5])
