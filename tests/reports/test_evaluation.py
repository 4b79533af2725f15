"""The evaluation report: what went wrong comes first, and the page is whole, light, and readable by everybody."""

import re

import pytest

from scnas_deploy.reports.evaluation import evaluation_page
from tests.browser import WIDTHS, WatchedPage
from tests.reports.scored import INVENTED, LABELS, LOW, MISSED, overlay, scored
from tests.training.scores import make_evaluation

SECTIONS = ["failures", "summary", "distributions", "agreement", "pictures", "cases", "reading"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of 44 cases with four pictures, one of a study too large to view."""
    places = ((INVENTED, "Worst"), (MISSED, "Second worst"), (LOW, "Third worst"), ("case_000", "Median"))
    overlays = [overlay(name, place, link=None if name == LOW else f"cases/{name}.html") for name, place in places]
    path = tmp_path_factory.mktemp("report") / "evaluation.html"
    path.write_text(evaluation_page(scored(), overlays=overlays))
    return path


@pytest.fixture(scope="module")
def opened(browser, written):
    """The page in a browser, its charts drawn; the tests share it."""
    watched = WatchedPage(browser)
    watched.open(written).wait_for_selector("html[data-charts=drawn]")
    yield watched.page
    watched.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_whole_in_a_browser(browser, written, tmp_path, width):
    watched = WatchedPage(browser, width)
    page = watched.open(written)
    page.wait_for_selector("html[data-charts=drawn]")
    assert [section.get_attribute("id") for section in page.locator("main > section").all()] == SECTIONS
    for figure in ("distribution-dice", "distribution-hd95-mm", "distribution-nsd", "agreement-1", "agreement-2"):
        assert page.locator(f"#{figure} svg").is_visible()
    assert page.locator("#distribution-dice svg path[aria-roledescription=point]").count() == 88
    assert page.locator("#pictures img").evaluate_all("all => all.every((each) => each.naturalWidth === 900)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    watched.picture(tmp_path, f"evaluation-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_44_cases_take_less_than_10_mb(opened, written, record_property):
    """Pictures of pure noise included. The time to open is recorded; its bound only finds a page that hangs."""
    assert written.stat().st_size < 10_000_000
    seconds = opened.evaluate("performance.now()") / 1000
    record_property("seconds_until_drawn", seconds)
    assert seconds < 30


def test_failures_come_first_and_say_why(opened):
    rows = [row.inner_text() for row in opened.locator("#failures tbody tr").all()]
    assert [row.split()[0] for row in rows[:3]] == [INVENTED, MISSED, LOW]
    assert re.search(r"Posterior: found \d\.\d+ ml where the mask has none", rows[0])
    assert re.search(r"Anterior: missed entirely; the mask has \d\.\d+ ml", rows[1])
    assert "Posterior: Dice 0.4100, below 0.5" in rows[2]
    assert "Posterior: HD95 9.50 mm, unusually high here" in rows[2]


def test_a_failure_leads_to_its_picture_and_the_picture_to_the_viewer(opened):
    opened.locator("#failures a", has_text=INVENTED).click()
    assert opened.url.endswith("#picture-1")
    assert opened.locator("#picture-1 h3").inner_text().startswith(f"Worst: {INVENTED}")
    assert opened.locator("#picture-1 p a").get_attribute("href") == f"cases/{INVENTED}.html"
    assert opened.locator("#picture-3 a").count() == 0
    assert "too large" in opened.locator("#picture-3").inner_text()


def test_the_table_of_cases_sorts_by_the_keyboard(opened):
    def column(number):
        return opened.locator(f"#cases tbody tr > :nth-child({number})").all_inner_texts()

    assert column(1)[:3] == [INVENTED, MISSED, LOW]
    head = opened.locator("#cases thead tr:last-child th:nth-child(5)")
    for order in ("ascending", "descending"):
        head.locator("button").focus()
        opened.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == order
        defined = [float(text) for text in column(5) if text != "-"]
        assert defined == sorted(defined, reverse=order == "descending")
        assert column(5)[-1] == "-"


def test_the_summary_has_mean_spread_median_and_number():
    text = evaluation_page(make_evaluation({"front": [0.9, 0.5, 0.7], "back": [0.8, None, 0.6]}))
    cells = re.sub(r"<[^>]+>", "|", text[text.index('id="summary"') : text.index('id="distributions"')])
    assert "0.7000 ± 0.2000||median 0.7000, n 3" in cells
    assert "0.7000 ± 0.1414||median 0.7000, n 2" in cells
    assert "+0.000 ml||+0.0 % of 1.000 ml" in cells


def test_where_nothing_is_wrong_it_says_so_and_how_to_get_pictures():
    text = evaluation_page(make_evaluation({"front": [0.9, 0.8]}))
    assert "None</strong> of 2 cases" in text
    assert "unusual scores are named from 8 cases on" in text
    assert "adds pictures" in text


def test_a_label_that_occurs_nowhere_has_no_chart():
    text = evaluation_page(make_evaluation({"front": [None, None]}, hd95_mm=None))
    assert "<figure" not in text
    assert 'id="distributions"' not in text


def test_names_are_text_and_never_markup(browser, tmp_path):
    name = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
    path = tmp_path / "evil.html"
    path.write_text(evaluation_page(make_evaluation({name: [0.5, 0.6]}, subject=name)))
    watched = WatchedPage(browser)
    page = watched.open(path)
    page.wait_for_selector("html[data-charts=drawn]")
    assert page.evaluate("window.evil") is None
    assert page.locator("#summary tbody th").first.inner_text() == name
    watched.require_clean()
    watched.close()


def test_the_legend_names_the_colours(opened):
    shown = opened.locator("#pictures > p").inner_text()
    assert all(label.name in shown for label in LABELS)
    colors = opened.locator("#pictures > p .line:not(.truth)").evaluate_all(
        "all => all.map((each) => getComputedStyle(each).borderTopColor)"
    )
    assert colors == ["rgb(230, 25, 75)", "rgb(60, 180, 75)"]
