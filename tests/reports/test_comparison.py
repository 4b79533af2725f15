"""The comparison report says who is better only where the cases tell, and shows it."""

import pytest

from scnas_deploy.errors import DataError
from scnas_deploy.reports.comparison import comparison_page
from scnas_deploy.reports.comparison_rows import changed_cases, difference_rows, newly_failed
from scnas_deploy.training.comparison import compare
from tests.browser import WIDTHS, WatchedPage
from tests.reports.scored import MISSED, scored
from tests.training.scores import make_evaluation

A, B = scored(subject="first"), scored(subject="second", better=0.03)


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_whole_in_a_browser(browser, tmp_path, width):
    path = tmp_path / "comparison.html"
    path.write_text(comparison_page(A, B))
    watched = WatchedPage(browser, width)
    page = watched.open(path)
    page.wait_for_selector("html[data-charts=drawn]")
    sections = [section.get_attribute("id") for section in page.locator("main > section").all()]
    assert sections == ["verdict", "differences", "by-case", "changed", "reading"]
    for figure in ("difference-dice", "difference-hd95-mm", "difference-nsd", "cases-1", "cases-2"):
        assert page.locator(f"#{figure} svg").is_visible()
    assert page.locator("#cases-1 svg path[aria-roledescription=point]").count() == 44
    assert "Dice, mean of labels: B better" in page.locator("#verdict").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    watched.picture(tmp_path, f"comparison-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def verdicts(a, b) -> dict[str, str]:
    return {f"{row.metric} {row.label}": row.verdict for row in difference_rows(compare(a, b))}


def test_who_is_better_depends_on_the_metric():
    worse = make_evaluation({"a": [0.5, 0.6, 0.7] * 7}, hd95_mm=3.0)
    better = make_evaluation({"a": [0.6, 0.7, 0.8] * 7}, hd95_mm=2.0)
    assert set(verdicts(worse, better).values()) == {"B better"}
    assert set(verdicts(better, worse).values()) == {"A better"}


def test_an_interval_that_holds_zero_tells_nothing_apart():
    assert set(verdicts(A, A).values()) == {"not told apart"}
    one, other = make_evaluation({"a": [0.5, 0.8] * 10}), make_evaluation({"a": [0.6, 0.7] * 10})
    assert verdicts(one, other)["dice a"] == "not told apart"


def test_of_a_few_cases_nothing_is_concluded():
    worse, better = make_evaluation({"a": [0.5] * 19}), make_evaluation({"a": [0.6] * 19})
    assert verdicts(worse, better)["dice a"] == "too few cases"


def test_one_case_is_too_few():
    one = make_evaluation({"a": [0.5]})
    assert verdicts(one, one)["dice a"] == "too few cases"
    assert "too few cases" in comparison_page(one, one)


def test_a_score_that_nobody_defines_has_a_row_and_no_chart():
    nothing = make_evaluation({"a": [None, None]}, hd95_mm=None)
    page = comparison_page(nothing, nothing)
    assert "<figure" not in page


def test_the_cases_that_changed_most_come_first():
    a = make_evaluation({"x": [0.5, 0.6, None], "y": [0.5, 0.9, 0.4]})
    b = make_evaluation({"x": [0.6, 0.6, 0.9], "y": [0.5, 0.5, 0.4]})
    first, second, third = changed_cases(a, b)
    assert (first.case_id, first.most) == ("case_001", "y: 0.9000 to 0.5000")
    assert first.change == pytest.approx(-0.2)
    assert (second.case_id, third.case_id) == ("case_000", "case_002")
    assert third.change == 0.0


def test_structures_lost_are_counted_for_both_sides():
    fine = scored(better=0.0).cases[int(MISSED[-3:])].model_copy(update={"dice": {"Anterior": 0.9, "Posterior": 0.9}})
    whole = A.model_copy(update={"cases": tuple(fine if case.case_id == MISSED else case for case in A.cases)})
    assert (newly_failed(whole, A), newly_failed(A, whole)) == (1, 0)


def test_what_has_no_partner_is_said_and_other_labels_are_refused():
    page = comparison_page(A, B.model_copy(update={"cases": B.cases[:40]}))
    assert "Left out for want of a partner: 4 case(s) of A, 0 of B" in page
    with pytest.raises(DataError, match="labels"):
        comparison_page(A, make_evaluation({"liver": [0.5]}))
