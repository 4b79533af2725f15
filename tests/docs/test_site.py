"""The site in a real Chromium, from the file system: nothing from outside, readable by everybody, complete."""

import re

import pytest

from tests.browser import WIDTHS, WatchedPage
from tests.docs.conftest import ROOT

SHOWN = ("index", "serving", "reference/command-line", "reference/python")
"""Pages that every run of the tests opens: one of each kind. The long tests open all of them."""
_RESEARCH = "For research use only"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SHOWN)
def test_a_page_is_whole_and_accessible(site, browser, tmp_path, name, width):
    require_good(site, name, WatchedPage(browser, width), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("width", WIDTHS)
def test_all_pages_are_whole_and_accessible(site, browser, tmp_path, width):
    for path in sorted(site.rglob("*.html")):
        name = str(path.relative_to(site).with_suffix(""))
        if name not in (*SHOWN, "404"):
            require_good(site, name, WatchedPage(browser, width), tmp_path)


def require_good(site, name, watched, folder):
    page = watched.open(site / f"{name}.html")
    assert page.locator("article h1").count() == 1, name
    assert _RESEARCH in page.inner_text("body")
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    watched.picture(folder, f"{name.replace('/', '-')}-{width}", whole=False)
    watched.require_clean(site.as_uri())  # before axe, which asks for style sheets that a file may not read
    watched.require_accessible()
    watched.close()


def test_search_works_from_the_file_system(site, browser, tmp_path):
    watched = WatchedPage(browser)
    page = watched.open(site / "index.html")
    page.locator("input[name=query]").click()
    page.keyboard.type("exit status", delay=10)
    page.wait_for_selector(".md-search-result__link")
    links = page.eval_on_selector_all(".md-search-result__link", "all => all.map(each => each.href)")
    assert any("errors.html" in link for link in links)
    watched.picture(tmp_path, "search", whole=False)
    watched.require_clean(site.as_uri())
    watched.close()


def test_every_page_loads_nothing_from_outside_and_says_its_use(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert _RESEARCH in text, path
        assert not re.findall(r"<(?:script|img|iframe)\b[^>]*?src=\"?(?:https?:)?//[^\"\s>]+", text), path
        assert not re.findall(r"<link\b[^>]*?href=\"?(?:https?:)?//[^\"\s>]+", text), path


def test_every_document_is_in_the_navigation():
    told = (ROOT / "mkdocs.yml").read_text()
    documents = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert documents
    assert not [name for name in documents if f": {name}\n" not in told]
