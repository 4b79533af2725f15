"""The pages of a busy server, in a real Chromium."""

import pytest

from scnas_deploy.serve.page import routes
from tests.browser import WIDTHS, WatchedPage
from tests.serve.page.conftest import TOKEN

SECTIONS = ["Queue", "Under way", "Throughput", "Latest failures", "Destinations", "Models", "This server"]


@pytest.fixture
def look(browser):
    opened = []

    def open_page(url, width=WIDTHS[0], token=None):
        opened.append(WatchedPage(browser, width, token=token))
        return opened[-1], opened[-1].open(url)

    yield open_page
    for each in opened:
        each.close()


def require_good(watched, page, url, tmp_path, name):
    watched.picture(tmp_path, name)
    watched.require_clean(url)
    watched.require_accessible()
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_overview_shows_what_goes_on(busy, tokens, look, tmp_path, width):
    url = busy.serve(tokens=tokens)
    watched, page = look(f"{url}/", width, TOKEN)
    titles = page.locator("main h2").all_inner_texts()
    assert titles == ["Ready", *SECTIONS]
    queue = page.locator("#traffic tbody tr").all_inner_texts()
    assert queue[0].split() == ["clinical", "0", "2", "8", "1", "1", "0"]
    assert queue[1].split() == ["archive", "41", "0", "4", "0", "0", "0"]
    under_way = page.locator("#under-way tbody tr").all_inner_texts()
    assert ["segmenting" in under_way[0], "writing" in under_way[1]] == [True, True]
    assert "42 %" in under_way[0]
    assert "17" in under_way[0]
    assert page.locator("#under-way progress").first.get_attribute("value") == "42.0"
    assert "12" in page.locator("#throughput dl").inner_text()
    failures = page.locator("#failures tbody tr").all_inner_texts()
    assert ["ended 5 times" in failures[0], "found 2 that fit" in failures[1]] == [True, True]
    pacs, archive, research = page.locator("#destinations tbody tr").all_inner_texts()
    assert "does not take results" in pacs
    assert "connection refused" in pacs
    assert "nothing sent lately" in archive
    assert "on their way" in research
    model = page.locator("#models tbody tr").inner_text()
    assert "hippocampus" in model
    assert "float32: " in model
    assert "research use only" in page.locator("footer").inner_text()
    require_good(watched, page, url, tmp_path, f"server-overview-{width}")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_server_that_is_not_ready_and_has_no_ledger_says_so(place, look, tmp_path, width):
    url = place.serve()
    place.troubles.update(ledger="expected a job ledger that answers, found connection refused. Check it.", disk="full")
    watched, page = look(f"{url}/", width)
    assert "Not ready" in page.locator("#readiness").inner_text()
    assert "connection refused" in page.locator("#traffic").inner_text()
    assert page.locator("#models tbody tr").count() == 1
    require_good(watched, page, url, tmp_path, f"server-not-ready-{width}")


@pytest.mark.parametrize("width", WIDTHS)
def test_an_idle_server(place, look, tmp_path, width):
    url = place.serve()
    watched, page = look(f"{url}/", width)
    assert "Nothing is being segmented." in page.locator("#under-way").inner_text()
    require_good(watched, page, url, tmp_path, f"server-idle-{width}")


@pytest.mark.parametrize("width", WIDTHS)
def test_jobs_are_listed_by_state_and_page_by_page(busy, look, tmp_path, width):
    url = busy.serve()
    watched, page = look(f"{url}/jobs", width)
    assert page.locator("tbody tr").count() == 50
    require_good(watched, page, url, tmp_path, f"server-jobs-{width}")
    page.click("text=Older")
    page.click("text=Newest")
    page.click("a:text-is('failed')")
    assert page.locator("tbody tr").count() == 1
    page.click("tbody a")
    assert page.inner_text("h1") == "Job 37: segmentation"
    require_good(watched, page, url, tmp_path, f"server-job-failed-{width}")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_job_that_is_done(busy, look, tmp_path, width):
    url = busy.serve(show_uids=True)
    watched, page = look(f"{url}/jobs/1", width)
    assert page.locator("#volumes tbody tr").all_inner_texts() == ["Anterior\t1.812", "Posterior\t1.500"]
    assert page.locator("#deliveries tbody tr").count() == 2
    assert "1.2.77" in page.locator("#files").inner_text()
    require_good(watched, page, url, tmp_path, f"server-job-done-{width}")


def test_it_keeps_itself_up_to_date_and_can_be_held(busy, look, monkeypatch):
    monkeypatch.setattr(routes, "_FRESH_S", 0.0)
    url = busy.serve()
    _, page = look("about:blank")
    page.clock.install()
    page.goto(f"{url}/")
    page.locator("#failures tbody a").first.focus()
    busy.troubles["disk"] = "full"
    page.clock.run_for(6000)
    page.wait_for_selector("#readiness .bad")
    assert page.evaluate("document.activeElement.closest('#failures') !== null")
    assert "not ready: disk" in page.inner_text("#said")
    page.click("#pause")
    busy.troubles.clear()
    page.clock.run_for(30_000)
    assert "Not ready" in page.inner_text("#readiness")
    assert page.inner_text("#renewed") == "Paused"
    page.click("#pause")
    page.wait_for_selector("#readiness .good")


def test_it_is_whole_without_scripts(busy, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(busy.serve())
    assert page.locator("main h2").all_inner_texts()[1:] == SECTIONS
    assert page.locator("#live").is_hidden()
    context.close()


def test_it_says_when_the_server_has_gone(busy, look):
    url = busy.serve()
    _, page = look("about:blank")
    page.clock.install()
    page.goto(f"{url}/")
    busy.servers.pop().stop()
    page.clock.run_for(6000)
    page.wait_for_selector("text=Not up to date")
    assert page.locator("#traffic").is_visible()
