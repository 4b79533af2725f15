"""The page of a search tells how it decides and what it found, at every stage of its life."""

import json
import os
import time

import pytest
from playwright.sync_api import expect

from scnas_deploy.errors import ConfigError, DataError
from scnas_deploy.networks.genotype import Operation
from scnas_deploy.reports import search_cells
from scnas_deploy.reports.search import search_page
from scnas_deploy.reports.search_cells import EDGE_NAMES, chosen_counts, drawing_of, heat_maps
from scnas_deploy.reports.search_data import search_state
from scnas_deploy.training.runs import RunFolder
from tests.browser import WIDTHS, WatchedPage
from tests.drawing.conftest import dot  # noqa: F401  # the fixture
from tests.reports.run_folders import (
    BUDGET,
    begin_search,
    finish_search,
    search_epochs,
    write_epochs,
    write_ledger,
    write_ronasmis,
    write_training,
)

SECTIONS = ("found", "handover", "decision", "heat", "operations", "budget", "learning", "costs", "settings")


@pytest.fixture
def finished(tmp_path, phantom_plan) -> RunFolder:
    """A search for a budget, with a warning and two trainings beside it, one of another genotype."""
    run = begin_search(tmp_path / "runs" / "search", phantom_plan, budget=BUDGET)
    write_epochs(run, search_epochs(12, budget=True))
    write_ledger(run, 100.0)
    found = finish_search(run, budget=True, warnings=("identity is everywhere",))
    write_training(tmp_path / "runs" / "train", phantom_plan, found)
    other = found.model_copy(update={"provenance": found.provenance.model_copy(update={"seed": 9})})
    write_training(tmp_path / "runs" / "other", phantom_plan, other)
    return run


def opened(browser, folder, page: str, width: int = WIDTHS[0]) -> WatchedPage:
    path = folder / "page.html"
    path.write_text(page)
    watched = WatchedPage(browser, width)
    watched.open(path).wait_for_selector("html[data-charts=drawn]")
    return watched


@pytest.mark.parametrize("width", WIDTHS)
def test_a_finished_search_shows_everything(browser, dot, finished, tmp_path, width):  # noqa: F811
    watched = opened(browser, tmp_path, search_page(search_state(finished, time.time())), width)
    page = watched.page
    for name in (*SECTIONS, "warnings"):
        assert page.locator(f"section#{name}").count() == 1, name
    for name in ("entropy", "temperature", "edges", "cost", "multiplier", "losses", "rate", "memory", "seconds", "gap"):
        assert page.locator(f"#{name} svg").count() == 1, name
    assert "identity is everywhere" in page.inner_text("#warnings")
    facts = page.inner_text(".top .facts")
    for words in ("finished", "12 of 12", "2 min", "1.50 GB", "CPU", "fast, 0, 0"):
        assert words in facts
    assert "0.87 GMAC, within the budget" in page.inner_text("#found")
    assert page.locator("#found img").evaluate("image => image.naturalWidth") > 300
    assert page.locator("#heat table").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched.picture(tmp_path, f"search-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_the_heat_maps_turn_with_the_slider_and_by_themselves(browser, finished, tmp_path):
    watched = opened(browser, tmp_path, search_page(search_state(finished, time.time())))
    page, last = watched.page, search_epochs(12)[-1]["edge_probability"]["reduction"][0]
    first_row = page.locator("#heat table").first.locator("tbody tr").first.locator("td")
    assert [int(text) for text in first_row.all_inner_texts()] == pytest.approx([100 * p for p in last], abs=0.51)
    strongest = first_row.nth(last.index(max(last)))
    assert "strongest" in strongest.get_attribute("class")
    slider = page.locator("#heat-epoch")
    slider.focus()
    slider.press("Home")
    assert page.inner_text("#heat-shown") == "3 of 12"
    assert {int(text) for text in first_row.all_inner_texts()} <= {12, 13}
    assert slider.get_attribute("aria-valuetext") == "epoch 3"
    slider.press("ArrowRight")
    assert page.inner_text("#heat-shown") == "4 of 12"
    page.click("#heat-play")
    assert page.inner_text("#heat-play") == "Pause"
    expect(page.locator("#heat-shown")).to_have_text("12 of 12", timeout=20_000)
    expect(page.locator("#heat-play")).to_have_text("Play")
    watched.require_clean()
    watched.close()


def test_supernet_derived_and_retrained_stand_beside_each_other(finished):
    state = search_state(finished, time.time())
    assert [(each.run, each.dice) for each in state.trainings] == [("train", 0.8822)]
    page = search_page(state)
    assert (
        "Mean foreground Dice: supernet 0.6147; derived, with shared weights 0.6695; retrained in train 0.8822" in page
    )


def test_a_run_that_goes_on_tells_the_time_left_and_one_that_is_silent_was_interrupted(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    write_epochs(run, search_epochs(8))
    written = time.time()
    going = search_state(run, written + 5)
    assert going.progress.seconds_left == pytest.approx(4 * 7.5)
    page = search_page(going)
    assert "running" in page
    assert "about 30 s" in page
    assert "once resumed" in search_page(search_state(run, written + 3600))
    assert search_state(run, written + 3600).progress.condition == "interrupted"


def test_before_the_first_epoch_there_is_a_page_already(browser, tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    watched = opened(browser, tmp_path, search_page(search_state(run, time.time())))
    assert "No epoch has ended yet" in watched.page.inner_text("#waiting")
    assert watched.page.locator("figure").count() == 0
    watched.picture(tmp_path, "search-waiting")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_a_running_searchs_warnings_are_those_of_its_last_epoch(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    records = search_epochs(5)
    write_epochs(run, [*records[:-1], {**records[-1], "warnings": ["zero is everywhere"]}])
    assert search_state(run, time.time()).warnings == ("zero is everywhere",)


def test_an_older_search_without_each_edge_still_has_its_means(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    old = [{name: value for name, value in record.items() if name != "edge_probability"} for record in search_epochs(5)]
    write_epochs(run, old)
    page = search_page(search_state(run, time.time()))
    assert 'id="heat"' not in page
    assert "has recorded the mean alone" in page
    assert 'id="operations-decoder"' in page


@pytest.mark.parametrize("width", WIDTHS)
def test_a_search_by_a_controller_has_panels_of_its_own(browser, dot, tmp_path, phantom_plan, width):  # noqa: F811
    run = write_ronasmis(tmp_path / "ronasmis", phantom_plan)
    watched = opened(browser, tmp_path, search_page(search_state(run, time.time())), width)
    page = watched.page
    for name in ("rewards", "controller", "losses", "memory"):
        assert page.locator(f"#{name} svg").count() == 1, name
    assert page.locator("#heat, #decision").count() == 0
    assert "16 x 16 x 32" in page.inner_text("#found")
    assert "episode" in page.inner_text("#rewards")
    watched.picture(tmp_path, f"ronasmis-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_figures_that_are_not_finite_are_left_out(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    records = search_epochs(4)
    records[1]["loss"] = float("nan")
    write_epochs(run, records)
    state = search_state(run, time.time())
    assert [epoch for epoch, _ in state.progress.track("loss")] == [1, 3, 4]
    assert "NaN" not in search_page(state).split("</main>")[0]


def test_without_graphviz_the_cells_are_lists(finished, monkeypatch):
    def no_dot(_):
        raise ConfigError("scnas draw", expected="the program dot", found="none", remedy="Install Graphviz")

    monkeypatch.setattr(search_cells, "draw_genotype", no_dot)
    page = search_page(search_state(finished, time.time()))
    assert "Not drawn here: the program dot is missing. Install Graphviz." in page
    assert "<details open>" in page
    assert "cell k-2 → node 0" in page


def test_each_edge_and_operation_is_counted_once(finished):
    found = finished.genotype().architecture.cells
    counts = chosen_counts(found)
    assert counts["conv 3"] == [2, 2, 2, 2, 8]
    assert sum(row[-1] for row in counts.values()) == 4 * len(EDGE_NAMES)
    assert EDGE_NAMES[:5] == (
        "cell k-2 → node 0",
        "cell k-1 → node 0",
        "cell k-2 → node 1",
        "cell k-1 → node 1",
        "node 0 → node 1",
    )


def test_heat_maps_hold_whole_ten_thousandths_of_the_epochs_that_decide(finished):
    state = search_state(finished, time.time())
    heat = heat_maps(state.progress, state.operations)
    assert heat.epochs == tuple(range(3, 13))
    assert all(abs(sum(edge) - 10_000) <= 4 for cell in heat.frames[-1] for edge in cell)
    assert len(heat.operations) == len(Operation)
    assert len(json.dumps(heat.embedded)) < 40_000


def test_a_drawing_is_an_image_in_which_nothing_runs(finished, dot):  # noqa: F811
    drawing = drawing_of(finished.genotype())
    assert drawing.address.startswith("data:image/svg+xml;base64,")


def test_names_are_text(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "<img src=x onerror=alert(1)>", phantom_plan)
    page = search_page(search_state(run, time.time()))
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_another_runs_damage_is_not_this_ones(finished):
    (finished.path.parent / "train" / "genotype.json").write_text("{")
    assert search_state(finished, time.time()).trainings == ()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected a run"):
        search_state(RunFolder(tmp_path), time.time())


def test_a_slow_epoch_is_no_interruption(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    records = [{**record, "seconds": 600.0 * (record["epoch"] + 1)} for record in search_epochs(3)]
    write_epochs(run, records)
    past = time.time() - 1000
    for name in ("run.json", "metrics.jsonl"):
        os.utime(run.path / name, (past, past))
    assert search_state(run, time.time()).progress.condition == "running"
    assert search_state(run, time.time() + 300).progress.condition == "interrupted"
