"""Figures as readers see them."""

import pytest

from scnas_deploy.serve.page.words import duration, moment, part, size, took


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (0.4, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_durations_have_the_unit_that_fits(seconds, said):
    assert duration(seconds) == said


def test_what_was_short_has_tenths():
    assert (took(2.14), took(75.0)) == ("2.1 s", "75 s")


def test_a_time_is_said_in_two_ways():
    told = moment(1_700_000_000.0, 1_700_000_300.0)
    assert (told.iso, told.ago) == ("2023-11-14T22:13:20+00:00", "5 min ago")
    assert moment(5.0, 4.0).ago == "just now"


@pytest.mark.parametrize(
    ("num_bytes", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (36_100, "36.1 kB"), (5e9, "5 GB"), (3e15, "3000 TB"), (999_600, "1000 kB")],
)
def test_bytes_are_counted_in_thousands(num_bytes, said):
    assert size(num_bytes) == said


def test_only_all_of_it_is_a_hundred_per_cent():
    assert [part(each, 3) for each in (1.0, 0.9997, 0.9999999, 0.0)] == [
        "100.000 %",
        "99.970 %",
        "more than 99.999 %",
        "0.000 %",
    ]
