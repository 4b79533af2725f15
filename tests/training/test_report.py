"""The page says what the numbers say, alone and safely."""

import re
from html.parser import HTMLParser

from scnas_deploy.training.report import to_html
from tests.training.scores import make_evaluation


class Page(HTMLParser):
    """Checks that every element is closed in turn, and keeps the cells of each table's rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.count: dict[str, int] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


EVALUATION = make_evaluation({"front": [0.9, 0.5, 0.7], "back": [0.8, None, 0.6]})


def test_it_loads_and_runs_nothing():
    text = to_html(EVALUATION)
    assert not re.search(r"<script|<link|<img|<iframe|src=|href=|url\(|@import|https?:|\son\w+=", text)


def test_it_says_what_was_evaluated():
    text = to_html(EVALUATION)
    assert "<h1>Evaluation of train</h1>" in text
    for fact in ("<dd>0</dd>", "<dd>3</dd>", "<dd>onnxruntime</dd>", "<dd>1 mm</dd>", "<dd>0.7000</dd>"):
        assert fact in text


def test_the_summary_has_mean_spread_and_median():
    rows = {row[0]: row for row in Page(to_html(EVALUATION)).rows}
    assert rows["front"][1] == "0.7000 ± 0.2000median 0.7000, n 3"
    assert rows["back"][1] == "0.7000 ± 0.1414median 0.7000, n 2"
    assert rows["front"][2] == "2.00 ± 0.00median 2.00, n 3"


def test_the_worst_case_comes_first():
    rows = Page(to_html(EVALUATION)).rows
    assert [row[:2] for row in rows if row[0].startswith("case_")] == [
        ["case_001", "0.5000"],
        ["case_002", "0.6500"],
        ["case_000", "0.8500"],
    ]


def test_a_score_that_is_undefined_is_a_dash_and_no_dot():
    page = Page(to_html(EVALUATION))
    row = next(row for row in page.rows if row[0] == "case_001")
    assert row[2:4] == ["0.5000", "-"]
    assert page.count["circle"] == 5
    assert page.count["svg"] == 2


def test_a_label_that_occurs_nowhere_has_no_plot():
    page = Page(to_html(make_evaluation({"front": [None, None]}, hd95_mm=None)))
    assert "svg" not in page.count


def test_names_are_text_and_never_markup():
    name = "<script>alert('x')</script> & \"y\""
    text = to_html(make_evaluation({name: [0.5, 0.6]}, subject=name))
    assert "<script" not in text
    assert next(row for row in Page(text).rows if row[0].startswith("<script>"))[0] == name
