"""Figures in words."""

import pytest

from scnas_deploy.pages.figures import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 0 min"), (11_100, "3 h 5 min"), (187_300, "2 d 4 h")],
)
def test_durations_are_as_coarse_as_a_reader_needs(seconds, words):
    assert duration(seconds) == words
