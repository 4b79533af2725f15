"""Dots stand where their scores are, and apart where there is room."""

import re
from itertools import pairwise

import pytest

from scnas_deploy.training.strip_plot import strip_plot


def dots(plot: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', plot)]


def test_the_axis_runs_from_start_to_one():
    plot = strip_plot({"low": 0.5, "middle": 0.75, "high": 1.0}, 0.5)
    (low, _), (middle, _), (high, _) = dots(plot)
    ticks = re.findall(r'<text x="([\d.]+)" y="[\d.]+">([\d.]+)</text>', plot)
    assert [label for _, label in ticks] == ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert (low, high) == (float(ticks[0][0]), float(ticks[-1][0]))
    assert middle == pytest.approx((low + high) / 2)


def test_the_bar_is_the_median():
    plot = strip_plot({"a": 0.1, "b": 0.2, "c": 0.9}, 0.0)
    assert re.search(r'class="median" x1="([\d.]+)"', plot)[1] == f"{dots(plot)[1][0]:.1f}"


def test_equal_scores_stand_side_by_side():
    places = dots(strip_plot({str(number): 0.8 for number in range(7)}, 0.0))
    assert len({x for x, _ in places}) == 1
    heights = sorted(y for _, y in places)
    assert all(after - before >= 9 for before, after in pairwise(heights))


def test_a_thousand_equal_scores_stay_in_the_picture():
    plot = strip_plot({str(number): 0.8 for number in range(1000)}, 0.0)
    height = float(re.search(r'viewBox="0 0 \d+ ([\d.]+)"', plot)[1])
    assert all(0 < y < height for _, y in dots(plot))
