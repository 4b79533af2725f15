"""scnas report: what a source is, where its page goes, and a run that is watched."""

import json
import signal
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from scnas_deploy.cli.report_live import live_pages
from scnas_deploy.cli.report_sources import Kind, Source, find_source
from scnas_deploy.cli.showing import PageServer
from scnas_deploy.errors import FormatError
from scnas_deploy.training.runs import save_evaluation
from tests.browser import WIDTHS, WatchedPage
from tests.cli.conftest import SCNAS
from tests.reports.run_folders import (
    begin_search,
    finish_search,
    search_epochs,
    write_epochs,
    write_ledger,
    write_training,
)
from tests.training.scores import make_evaluation


@pytest.fixture
def runs(scnas, phantom_plan):
    """A finished search and its training, evaluated."""
    search = begin_search(scnas.folder / "runs" / "search", phantom_plan)
    write_epochs(search, search_epochs(12))
    found = finish_search(search)
    train = write_training(scnas.folder / "runs" / "train", phantom_plan, found)
    save_evaluation(train.path, make_evaluation({"front": [0.9, 0.8], "back": [0.7, 0.6]}))
    return scnas


def test_a_runs_page_goes_into_its_folder(runs):
    assert runs("report", "search").stdout == "Wrote runs/search/report.html\n"
    assert "What each edge prefers" in (runs.folder / "runs" / "search" / "report.html").read_text()
    runs("report", "runs/train")
    assert "Training train" in (runs.folder / "runs" / "train" / "report.html").read_text()


def test_files_are_told_apart_by_what_is_in_them(runs):
    runs("report", "runs/train/evaluation.json", "-o", "scores.html")
    assert "Evaluation of train" in (runs.folder / "scores.html").read_text()
    assert "runs/train/comparison-report.html" in runs("report", "train", "runs/train/evaluation.json").stdout
    assert (runs.folder / "runs" / "train" / "comparison-report.html").is_file()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"cases": [], "subject": ""}, Kind.EVALUATION),
        ({"results": [], "failures": [], "dice": {}}, Kind.CROSS_VALIDATION),
        ({"engines": [], "model_digest": ""}, Kind.BENCH),
    ],
)
def test_a_source_is_what_its_content_says(tmp_path, content, kind):
    path = tmp_path / "anything.json"
    path.write_text(json.dumps(content))
    found = find_source(str(path), tmp_path)
    assert found == Source(path, kind)
    assert found.page == tmp_path / "anything-report.html"


def test_a_name_means_the_projects_run_though_a_folder_has_that_name_too(tmp_path, phantom_plan):
    begin_search(tmp_path / "runs" / "pages", phantom_plan)
    assert find_source("pages", tmp_path).path == tmp_path / "runs" / "pages"


def test_a_folder_with_a_cross_validation_is_one(tmp_path):
    folder = tmp_path / "runs" / "cross-validation"
    folder.mkdir(parents=True)
    (folder / "cross-validation.json").write_text('{"results": [], "failures": []}')
    assert find_source("cross-validation", tmp_path).kind is Kind.CROSS_VALIDATION


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": 1}'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="expected a run, an evaluation"):
        find_source(str(path), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("nothing",), 3, "runs here: search, train"),
        (("runs",), 3, "none of these"),
        (("search", "train"), 2, "a run without one"),
        (("search", "-o", "page.pdf"), 2, "ends in .html"),
        (("search", "--no-browser"), 2, "--watch"),
        (("search", "--watch", "-o", "page.html"), 2, "one run"),
        (("runs/train/evaluation.json", "--watch"), 2, "an evaluation"),
    ],
)
def test_calls_that_make_no_sense_are_refused(runs, arguments, status, words):
    assert words in runs.refused("report", *arguments, status=status)


IMPATIENT = "const patient = window.setTimeout; window.setTimeout = (call, ms) => patient(call, ms / 10)"
"""For a page that asks its server every few seconds."""


@contextmanager
def served(run):
    with PageServer(live_pages(run)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.soak
@pytest.mark.parametrize("width", WIDTHS)
def test_a_watched_search_grows_before_the_readers_eyes(browser, tmp_path, phantom_plan, width):
    run = begin_search(tmp_path / "search", phantom_plan)
    with served(run) as server:
        watched = WatchedPage(browser, width)
        watched.page.add_init_script(IMPATIENT)
        page = watched.open(server.address)
        assert "No epoch has ended yet" in page.inner_text("#waiting")
        expect(page.locator("#live")).to_contain_text("Live. Running, epoch 0 of 12")
        write_epochs(run, search_epochs(8))
        expect(page.locator("#heat-shown")).to_have_text("8 of 8", timeout=20_000)
        assert page.locator("#waiting").count() == 0
        page.locator("#heat-epoch").focus()
        page.locator("#heat-epoch").press("Home")
        page.locator("#heat-epoch").press("ArrowRight")
        page.click("#settings summary")
        page.evaluate("window.scrollTo(0, 700)")
        page.locator("#heat-epoch").evaluate("slider => slider.focus({preventScroll: true})")
        scrolled = page.evaluate("scrollY")
        write_epochs(run, search_epochs(9))
        expect(page.locator(".top .facts")).to_contain_text("9 of 12", timeout=20_000)
        assert page.inner_text("#heat-shown") == "4 of 9"
        assert page.evaluate("document.activeElement.id") == "heat-epoch"
        assert page.locator("#settings details").get_attribute("open") is not None
        assert page.evaluate("scrollY") == pytest.approx(scrolled, abs=4)
        expect(page.locator("#entropy svg")).to_have_count(1)
        write_epochs(run, search_epochs(12))
        write_ledger(run, 90.0)
        finish_search(run)
        expect(page.locator("#live")).to_contain_text("Finished", timeout=20_000)
        assert page.locator("#found").count() == 1
        expect(page.locator("#gap svg")).to_have_count(1)
        watched.picture(tmp_path, f"live-{width}")
        watched.require_accessible()
        watched.require_clean(server.address)
    expect(page.locator("#live")).to_contain_text("Not live any more", timeout=30_000)
    watched.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_prints_an_address_and_ends_when_it_is_asked_to(runs, number):
    command = [str(SCNAS), "report", "search", "--watch", "--no-browser"]
    with subprocess.Popen(command, cwd=runs.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        address = process.stdout.readline().decode().strip()
        with urllib.request.urlopen(address) as answer:
            assert b"What each edge prefers" in answer.read()
        process.send_signal(number)
        assert process.wait(30) == 0
    assert not list(runs.folder.rglob("report.html"))


def test_a_live_page_says_its_version_and_asks_only_its_server(tmp_path, phantom_plan):
    run = begin_search(tmp_path / "search", phantom_plan)
    pages = live_pages(run)
    kind, page = pages[""]()
    assert kind.startswith("text/html")
    assert pages["state"]()[1].decode() in page.decode()
    assert "connect-src 'self'" in page.decode()
    time.sleep(0.01)
    write_epochs(run, search_epochs(1))
    assert pages["state"]()[1].decode() not in page.decode()
