"""The shell of pages: escaping, charts in a real browser, and what is shipped with its licence."""

import hashlib
import json
from importlib.resources import files

import pytest
from jinja2 import ChoiceLoader, DictLoader, UndefinedError

from scnas_deploy.pages import page
from scnas_deploy.pages.charts import Chart
from tests.browser import WIDTHS, WatchedPage

ASSETS = files("scnas_deploy.pages").joinpath("assets")
EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
TEMPLATE = """
{% extends "base.html.j2" %}
{% from "chart.html.j2" import chart %}
{% block title %}{{ name }}{% endblock %}
{% block heading %}{{ name }}{% endblock %}
{% block main %}<section><h2>Figures</h2>{{ chart(figure) }}</section>{% endblock %}
"""


def chart_of(values: list[float], text: str = "a") -> Chart:
    spec = {
        "data": {"values": [{"x": number, "y": value, "text": text} for number, value in enumerate(values)]},
        "mark": "point",
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative"},
            "tooltip": {"field": "text"},
        },
        "height": 120,
    }
    return Chart("some-points", "Points", spec, "Four points that rise")


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A page of that template."""
    environment = page._environment("scnas_deploy.pages")
    monkeypatch.setattr(environment, "loader", ChoiceLoader([DictLoader({"it.html.j2": TEMPLATE}), environment.loader]))

    def draw(name: str, figure: Chart):
        path = tmp_path / "page.html"
        path.write_text(page.render("it.html.j2", name=name, figure=figure, scripts=page.CHART_SCRIPTS))
        return path

    return draw


@pytest.mark.parametrize("width", WIDTHS)
def test_a_chart_is_drawn_offline(browser, drawn, tmp_path, width):
    watched = WatchedPage(browser, width)
    opened = watched.open(drawn("Four points", chart_of([1.0, 2.0, 3.0, 5.0])))
    opened.wait_for_selector("html[data-charts=drawn]")
    assert opened.locator("#some-points svg path[aria-roledescription=point]").count() == 4
    assert opened.locator("#some-points svg").get_attribute("aria-label") == "Four points that rise"
    watched.picture(tmp_path, f"chart-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_text_stays_text(browser, drawn):
    watched = WatchedPage(browser)
    opened = watched.open(drawn(EVIL, chart_of([1.0], EVIL)))
    opened.wait_for_selector("html[data-charts=drawn]")
    assert opened.inner_text("h1").startswith("</script>")
    assert opened.evaluate("window.evil") is None
    watched.require_clean()
    watched.close()


def test_what_a_template_names_must_be_given(drawn):
    with pytest.raises(UndefinedError):
        page.render("base.html.j2", scripts=page.CHART_SCRIPTS, nothing=1) + page.render("it.html.j2", name="a")


def test_foreign_scripts_are_those_listed_and_carry_their_licences():
    listed = json.loads(ASSETS.joinpath("foreign.json").read_text())
    for name, known in listed.items():
        assert hashlib.sha256(ASSETS.joinpath(name).read_bytes()).hexdigest() == known["sha256"]
        assert "Copyright" in ASSETS.joinpath("licences", known["licence_text"]).read_text()
    scripts = {each.name for each in ASSETS.iterdir() if each.name.endswith(".js")}
    own = {name for name in scripts - listed.keys() if len(ASSETS.joinpath(name).read_text()) < 20_000}
    assert scripts == listed.keys() | own
