"""Agreement is counted against chance and within cell types."""

import pytest
import torch

from benchmarks.search_agreement import agreement


@pytest.fixture
def preferences():
    return torch.randn(4, 14, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_search_agrees_with_itself(preferences):
    figures = agreement(preferences, preferences)
    assert (figures["same"], figures["edges"]) == (56, 56)
    assert figures["by_chance"] < 30
    assert figures["correlation"] == pytest.approx(1)


def test_strangers_agree_by_chance(preferences):
    other = torch.randn(4, 14, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    figures = agreement(preferences, other)
    assert abs(figures["same"] - figures["by_chance"]) < 12
    assert abs(figures["correlation"]) < 0.35


def test_what_a_whole_cell_type_prefers_is_chance(preferences):
    """Two searches that always take the first operation agree everywhere, and chance would too."""
    first = preferences * 0.01 + torch.tensor([1.0, 0.0, 0.0])
    figures = agreement(first, first.roll(1, dims=1))
    assert (figures["same"], figures["by_chance"]) == (56, 56)
    assert figures["correlation"] < 0.5
