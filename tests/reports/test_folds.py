"""The report of a cross-validation: failed folds first, means and spread, and each fold's network."""

import pytest

from scnas_deploy.networks.genotype import NUM_EDGES, Operation
from scnas_deploy.reports.fold_networks import FoldRun, agreement_percent, fold_runs, network_rows
from scnas_deploy.reports.folds import cross_validation_page
from scnas_deploy.training.cross_validation import CrossValidation, FoldFailure, FoldResult
from scnas_deploy.training.runs import RunFolder, RunRecord, save_evaluation
from tests.browser import WIDTHS, WatchedPage
from tests.conftest import make_genotype
from tests.reports.scored import scored

CELLS = [Operation.CONV, Operation.CONV, Operation.IDENTITY]
GENOTYPES = [make_genotype((*[operation] * (NUM_EDGES - 1), Operation.ZERO)) for operation in CELLS]
FAILURE = FoldFailure(
    run="fold3", command="scnas search --resume", exit_status=3, message="expected a checkpoint <b>found none</b>"
)


def run_name(fold: int) -> str:
    return f"train-fold{fold}"


@pytest.fixture(scope="module")
def runs() -> dict[str, FoldRun]:
    """Three folds; the first two found the same."""
    return {
        run_name(fold): FoldRun(scored(20, seed=fold), genotype.model_copy(update={"gmacs": 0.6}))
        for fold, genotype in enumerate(GENOTYPES)
    }


@pytest.fixture(scope="module")
def report(runs) -> CrossValidation:
    results = [
        FoldResult(
            fold=fold,
            seed=0,
            run=name,
            structure_hash=run.genotype.architecture.structure_hash,
            searched_on="own training cases" if fold else "another fold's cases",
            num_cases=20,
            dice=run.evaluation.mean_dice(),
            mean_foreground_dice=run.evaluation.mean_foreground(),
            seconds=3700.0,
        )
        for fold, (name, run) in enumerate(runs.items())
    ]
    return CrossValidation.of(results, [FAILURE])


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_whole_in_a_browser(browser, report, runs, tmp_path, width):
    path = tmp_path / "folds.html"
    path.write_text(cross_validation_page(report, runs=runs))
    watched = WatchedPage(browser, width)
    page = watched.open(path)
    page.wait_for_selector("html[data-charts=drawn]")
    sections = [section.get_attribute("id") for section in page.locator("main > section").all()]
    assert sections == ["failures", "folds", "cases", "networks"]
    assert page.locator("#folds svg path[aria-roledescription=point]").count() == 9
    assert page.locator("#cases-1 svg path[aria-roledescription=point]").count() == 60
    rows = page.locator("#folds tbody tr").all_inner_texts()
    assert rows[0].split("\t")[-1] == "1 h 2 min"
    assert f"{report.dice['Anterior'].mean:.4f}" in rows[3]
    assert f"{report.dice['Anterior'].standard_deviation:.4f}" in rows[4]
    assert "train-fold0 has seen cases that are held out here" in page.locator("#folds").inner_text()
    assert "<b>found none</b>" in page.locator("#failures").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    watched.picture(tmp_path, f"folds-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_networks_alike_are_named(report, runs):
    first, second, third = network_rows(report, runs)
    assert (first.like, second.like, third.like) == ("", "Fold 0, seed 0", "")
    assert first.words == "convolution 52, none 4"
    assert first.size == ("4", "0.60", "-")


def test_folds_agree_on_the_share_of_edges_with_one_operation(runs):
    """The first two on all, each of them with the third on one of 14: (1 + 1/14 + 1/14) / 3."""
    assert agreement_percent(runs) == pytest.approx(100 * (1 + 2 / 14) / 3)
    assert agreement_percent({}) is None


def test_without_the_runs_there_are_still_the_means(report):
    page = cross_validation_page(report)
    assert "knows their means alone" in page
    assert page.count("<figure") == 1


def test_without_a_finished_fold_there_is_still_a_page():
    page = cross_validation_page(CrossValidation.of([], [FAILURE]))
    assert "No fold has ended yet" in page
    assert "<figure" not in page


def test_what_lies_beside_the_report_is_read(report, tmp_path, phantom_plan):
    folder = RunFolder(tmp_path / run_name(1))
    folder.create(RunRecord(kind="train", fold=1, preset="cpu", config={"seed": 0}), phantom_plan, GENOTYPES[1])
    (tmp_path / run_name(0)).mkdir()
    assert fold_runs(report, tmp_path) == {}
    save_evaluation(folder.path, scored(20))
    assert fold_runs(report, tmp_path) == {run_name(1): FoldRun(scored(20), GENOTYPES[1])}
