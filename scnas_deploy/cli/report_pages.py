"""The page of each kind of source."""

import time
from pathlib import Path

from scnas_deploy.cli.report_sources import Kind, Source, evaluation_of
from scnas_deploy.training.runs import RunFolder, load_evaluation


def page_of(source: Source, *others: Source) -> str:
    """Make the page of a source, or of the comparison of two.

    Raises:
        ConfigError: If two sources are given and one is no evaluation.
        FormatError: If a file is damaged or not this version's.
    """
    if others:
        from scnas_deploy.reports.comparison import comparison_page

        first, second = (load_evaluation(evaluation_of(each)) for each in (source, *others))
        return comparison_page(first, second)
    if source.kind is Kind.RUN:
        return run_page(RunFolder(source.path))
    pages = {
        Kind.EVALUATION: _evaluation_page,
        Kind.CROSS_VALIDATION: _cross_validation_page,
        Kind.BENCH: _bench_page,
    }
    return pages[source.kind](source.path)


def run_page(run: RunFolder, version: str | None = None) -> str:
    """Make the page of a search or a training as it stands; see :func:`search_page` for its version."""
    if run.record().kind == "search":
        from scnas_deploy.reports.search import search_page
        from scnas_deploy.reports.search_data import search_state

        return search_page(search_state(run, time.time()), version)
    from scnas_deploy.reports.training import training_page, training_state

    return training_page(training_state(run, time.time()), version)


def _evaluation_page(path: Path) -> str:
    from scnas_deploy.reports.evaluation import evaluation_page

    return evaluation_page(load_evaluation(path))


def _cross_validation_page(path: Path) -> str:
    from scnas_deploy.documents import read_document
    from scnas_deploy.reports.fold_networks import fold_runs
    from scnas_deploy.reports.folds import cross_validation_page
    from scnas_deploy.training.cross_validation import CrossValidation

    report = read_document(path, CrossValidation, made_by="scnas cross-validate")
    return cross_validation_page(report, runs=fold_runs(report, path.parent.parent))


def _bench_page(path: Path) -> str:
    from scnas_deploy.reports.bench import bench_page, load_bench

    return bench_page(load_bench(path))
