"""Progress where there is no terminal."""

from scnas_deploy.cli import console


def test_a_time_left_is_told_once_something_is_done(monkeypatch, capsys):
    monkeypatch.setattr(console, "_PLAIN_INTERVAL_SECONDS", 0.0)
    with console.progress("Segmenting") as report:
        report(0, 4)
        report(2, 4, "fast")
    nothing, half = capsys.readouterr().err.splitlines()
    assert nothing == "Segmenting: 0 of 4, 0 s"
    assert half == "Segmenting: 2 of 4, 0 s, 0 s left fast"
