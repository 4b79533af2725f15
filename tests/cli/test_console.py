"""What is printed on a terminal, in a file and in a pipe."""

import re
import time

import pytest

from scnas_deploy.cli import bars, console
from scnas_deploy.cli.terminal import fitted
from tests.terminals import on_terminal

HEADS = ["job", "state", "attempts", "error"]
ERROR = "expected planes at even distances, found 5.0 and 2.5 mm. Take another series, or say --allow resample-gaps."
ROWS = [["12034", "failed", "3 of 5", ERROR], ["7", "done", "1 of 5", ""]]


def print_jobs() -> None:
    console.table(HEADS, ROWS, words=("state", "error"))


def work() -> None:
    with console.progress("Segmenting studies") as report:
        for number in range(1, 4):
            time.sleep(0.11)
            report(10_000 + number, 10_003, "onnxruntime-tensorrt 55.58 patches/s and more that has no room")


def test_a_time_left_is_told_once_something_is_done(monkeypatch, capsys):
    monkeypatch.setattr(bars, "_PLAIN_INTERVAL_SECONDS", 0.0)
    with console.progress("Segmenting") as report:
        report(0, 4)
        report(2, 4, "fast")
        report(4, 4)
    assert capsys.readouterr().err.splitlines() == [
        "Segmenting: 0 of 4, 0 s",
        "Segmenting: 2 of 4, 0 s, 0 s left, fast",
        "Segmenting: 4 of 4, 0 s",
    ]


def test_parts_are_told_where_numbers_mean_nothing(monkeypatch, capsys):
    monkeypatch.setattr(bars, "_PLAIN_INTERVAL_SECONDS", 0.0)
    with console.progress("Sending", percent=True) as report:
        report(12_345_678, 24_691_356, "12 of 25 MB")
    assert capsys.readouterr().err == "Sending: 50%, 0 s, 0 s left, 12 of 25 MB\n"


def test_a_bar_keeps_to_its_line_and_shortens_the_figures():
    shown = on_terminal(work, COLUMNS="80")
    bars_drawn = [line for line in shown.lines if "/10003" in line]
    assert bars_drawn
    assert all(len(line) <= 80 for line in shown.lines)
    assert all(re.search(r"1000\d/10003 \d:\d\d:\d\d( left)? +onnxruntime-tensorrt", line) for line in bars_drawn)
    assert any(" left onnxruntime" in line and line.endswith("...") for line in bars_drawn)


def test_a_bar_needs_no_colour_and_no_letter_beyond_ascii():
    shown = on_terminal(work, encoding="ascii", NO_COLOR="1")
    assert shown.colours == []
    assert "---" in shown.raw


@pytest.mark.parametrize("terminal_type", ["dumb", "unknown"])
def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch, terminal_type):
    monkeypatch.setattr(bars, "_PLAIN_INTERVAL_SECONDS", 0.0)
    shown = on_terminal(work, TERM=terminal_type)
    assert "\x1b" not in shown.raw
    assert "Segmenting studies: 10001 of 10003, 0 s, 0 s left, onnxruntime-tensorrt 55.58" in shown.raw
    assert all(len(line) <= 80 for line in shown.lines)


def test_a_table_on_a_terminal_keeps_every_word_whole():
    shown = on_terminal(print_jobs)
    heads, rule, failed, *error, done = shown.lines
    assert heads.split() == HEADS[:3]
    assert set(rule) == {"─"}
    assert (failed.split(), done.split()) == (["12034", "failed", "3", "of", "5"], ["7", "done", "1", "of", "5"])
    assert " ".join(" ".join(error).split()) == f"error: {ERROR}"
    assert all(len(line) <= 80 for line in shown.lines)
    assert all(word in " ".join(error).split() for word in ERROR.split())


def test_numbers_end_at_the_right_and_words_begin_at_the_left():
    shown = on_terminal(
        lambda: console.table(["case", "by", "ml"], [["a", "x", "1.5"], ["bb", "yy", "12.5"]], words=["by"])
    )
    assert shown.lines[2:] == ["a     x    1.5", "bb    yy  12.5"]


def test_without_colour_a_table_says_the_same():
    coloured, plain = on_terminal(print_jobs), on_terminal(print_jobs, NO_COLOR="1")
    assert plain.colours == []
    assert plain.lines == coloured.lines
    assert "\x1b" not in on_terminal(print_jobs, TERM="dumb").raw


def test_a_terminal_without_line_drawing_gets_hyphens():
    assert set(on_terminal(print_jobs, encoding="ascii").lines[1]) == {"-"}


def test_elsewhere_a_row_is_a_line_and_nothing_is_left_out(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    print_jobs()
    said = capsys.readouterr().out
    assert "\x1b" not in said
    heads, failed, done = said.splitlines()
    assert re.split(r" {2,}", heads) == HEADS
    assert re.split(r" {2,}", failed) == ROWS[0]
    assert re.split(r" {2,}", done) == ROWS[1][:3]


def test_facts_stand_in_a_column_of_their_own(capsys):
    console.say_facts({"a": "one", "longer": "two"}, indent=2)
    assert capsys.readouterr().out == "  a       one\n  longer  two\n"
    shown = on_terminal(lambda: console.say_facts({"label 1": "word " * 20}), columns=40)
    assert [len(line) - len(line.lstrip()) for line in shown.lines] == [0, 9, 9, 9]


def test_lines_are_broken_at_spaces_and_identifiers_stay_whole():
    uid = "1.2.826.0.1.3680043.8.498." + "1" * 38
    shown = on_terminal(lambda: console.note(f"Study {uid} goes to scnas-batch.db of the server"), columns=40)
    assert uid in shown.lines
    assert fitted("  a scnas-batch.db", 12) == "  a\n  scnas-batch.db"
    assert fitted("a spacing of 3.27 mm along S", 18) == "a spacing of\n3.27 mm along S"
    assert fitted("short", 80) == "short"
    assert fitted("long " * 40, None) == "long " * 40


def test_a_width_that_the_user_sets_is_kept():
    assert max(map(len, on_terminal(lambda: console.say("word " * 40), COLUMNS="30").lines)) <= 30
