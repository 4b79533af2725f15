"""A run says once how long it will take, from its own steps."""

import re

from scnas_deploy.cli.forecast import Forecast


class Clock:
    """A clock that stands until it is told how long a step took."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run_steps(seconds: list[float], total: int, first: int = 0) -> None:
    clock = Clock()
    forecast = Forecast("two cores", clock)
    for number, step in enumerate(seconds, first + 1):
        clock.now += step
        forecast.after_step(number, total)


def test_the_slow_first_step_and_an_epochs_end_do_not_count(capsys):
    run_steps([60, 2, 2, 9, 2, 2], total=1806)
    said = capsys.readouterr().err
    assert said.startswith("About 1 h 0 min for 1800 more steps on two cores, 2 s a step; ends about 2")


def test_it_is_said_once(capsys):
    run_steps([1.0] * 30, total=100)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_resumed_run_counts_what_is_left(capsys):
    run_steps([5, 1, 1, 1, 1, 1], total=100, first=60)
    assert "for 34 more steps" in capsys.readouterr().err


def test_a_run_that_ends_with_its_first_steps_says_nothing(capsys):
    run_steps([1.0] * 6, total=6)
    assert capsys.readouterr().err == ""


def test_the_end_is_a_date_and_time(capsys):
    run_steps([1.0] * 6, total=10)
    assert re.search(r"ends about \d{4}-\d\d-\d\d \d\d:\d\d\.$", capsys.readouterr().err.strip())
