"""The page of a training: learning, costs, and Dice of cases that it has not seen."""

import time

import pytest

from scnas_deploy.reports.training import training_page, training_state
from scnas_deploy.reports.training_charts import Lines, lines_chart
from scnas_deploy.reports.training_run import progress_of, version_of
from scnas_deploy.reports.training_words import dice, energy, settings, size
from scnas_deploy.training.runs import save_evaluation
from tests.browser import WIDTHS, WatchedPage
from tests.reports.run_folders import begin_search, finish_search, search_epochs, write_epochs, write_training
from tests.training.scores import make_evaluation


@pytest.fixture
def trained(tmp_path, phantom_plan, varied_genotype):
    return write_training(tmp_path / "train", phantom_plan, varied_genotype)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_finished_training_shows_everything(browser, trained, tmp_path, width):
    save_evaluation(trained.path, make_evaluation({"front": [0.9, 0.8], "back": [0.7, None]}))
    (trained.path / "evaluation.html").write_text("a page")
    path = tmp_path / "page.html"
    path.write_text(training_page(training_state(trained, time.time())))
    watched = WatchedPage(browser, width)
    page = watched.open(path)
    page.wait_for_selector("html[data-charts=drawn]")
    for name in ("losses", "rate", "memory", "seconds"):
        assert page.locator(f"#{name} svg").count() == 1, name
    facts = page.inner_text(".top .facts")
    for words in ("scnas, 4 channels", "finished", "5 of 5", "16 s", "1.50 GB"):
        assert words in facts
    assert "0.8822" in page.inner_text("#dice")
    assert "0.8500" in page.inner_text("#dice")
    assert page.get_attribute("#dice a", "href") == "evaluation.html"
    assert "2.000 Wh" in page.inner_text("#costs")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("summary")
    assert "plateau epochs" in page.inner_text("#settings")
    watched.picture(tmp_path, f"training-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_an_evaluation_without_a_page_is_not_linked(trained):
    save_evaluation(trained.path, make_evaluation({"front": [0.9]}))
    (trained.path / "evaluation.html").unlink(missing_ok=True)
    assert 'href="evaluation.html"' not in training_page(training_state(trained, time.time()))


def test_a_runs_version_changes_with_what_it_writes_and_when_it_falls_silent(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    now = time.time()
    first = version_of(run, now)
    assert version_of(run, now + 1) == first
    write_epochs(run, search_epochs(3))
    second = version_of(run, now)
    silent = version_of(run, now + 3600)
    finish_search(run)
    assert len({first, second, silent, version_of(run, now)}) == 4


def test_without_a_ledger_the_epochs_tell_the_time(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    write_epochs(run, search_epochs(4))
    progress = progress_of(run, time.time())
    assert progress.seconds_spent == 4 * 7.5
    assert progress.peak_bytes == 1_200_000_003


def test_a_figure_that_was_never_recorded_is_not_drawn():
    assert lines_chart(Lines(name="a", title="A", tracks={"b": []}, y_title="c")) is None
    chart = lines_chart(
        Lines(name="a", title="A", tracks={"b": [(1, 2e9), (3, 1e9)], "c": []}, y_title="GB", scale=1e-9)
    )
    assert chart.description == "A by epoch, GB. b: 2 in epoch 1, 1 in epoch 3, between 1 and 2."


def test_figures_have_their_units():
    assert (size(1.5e9), size(2e6), size(None)) == ("1.50 GB", "2 MB", "not known")
    assert (energy(None), energy(900), energy(7200), energy(7.2e6)) == (
        "not readable",
        "900 J",
        "2.000 Wh",
        "2.000 kWh",
    )
    assert (dice(None), dice(0.5)) == ("-", "0.5000")


def test_settings_of_parts_carry_the_parts_name():
    config = {"num_epochs": 3, "mirror": True, "betas": [0.9, 0.99], "augmentation": {"p_gamma": 0.3}, "none": None}
    assert settings(config) == (
        ("num epochs", "3"),
        ("mirror", "yes"),
        ("betas", "0.9, 0.99"),
        ("augmentation: p gamma", "0.3"),
        ("none", "-"),
    )
