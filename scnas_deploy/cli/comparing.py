"""scnas evaluate --compare: two evaluations side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from scnas_deploy.cli.console import note, say, say_json, table

if TYPE_CHECKING:
    from scnas_deploy.training.comparison import Comparison, Difference, MetricComparison
    from scnas_deploy.training.evaluation import Evaluation, Metric

_PAGE: Final = "comparison.html"


def compare_evaluations(project: Path, a: str, b: str, *, json: bool, folder: Path | None) -> None:
    """Print how evaluation b differs from evaluation a, and write it into a folder, where one is given."""
    from scnas_deploy.training.comparison import compare
    from scnas_deploy.training.runs import load_evaluation

    first, second = (load_evaluation(_evaluation_file(project, name)) for name in (a, b))
    result = compare(first, second)
    if folder is not None:
        _write(folder, result, first, second)
    if json:
        say_json(result.model_dump(mode="json"))
        return
    if result.left_out_a or result.left_out_b:
        note(f"Left out for want of a partner: {result.left_out_a} case(s) of A, {result.left_out_b} of B")
    _print(result)
    if folder is not None:
        say(f"Wrote {folder / _PAGE}")


def _write(folder: Path, result: "Comparison", first: "Evaluation", second: "Evaluation") -> None:
    from scnas_deploy.documents import to_json
    from scnas_deploy.files import make_folder, write_text
    from scnas_deploy.reports.comparison import comparison_page

    make_folder(folder)
    write_text(folder / "comparison.json", to_json(result))
    write_text(folder / _PAGE, comparison_page(first, second))


def _evaluation_file(project: Path, name: str) -> Path:
    """The evaluation that a run's name, a folder or a file stands for, looked for in this order."""
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.training.runs import EVALUATION

    run = project / "runs" / name
    if name == Path(name).name and run.is_dir():
        return run / EVALUATION
    if Path(name).is_dir():
        return Path(name) / EVALUATION
    if Path(name).is_file():
        return Path(name)
    raise ConfigError(
        "--compare",
        expected="a run's name, a folder with evaluation.json, or such a file",
        found=repr(name),
        remedy="Evaluate the run with scnas evaluate first, or name its evaluation.json",
    )


def _print(result: "Comparison") -> None:
    say(f"A: {result.subject_a}   B: {result.subject_b}   {result.num_cases} cases in both")
    rows = [row for metric, compared in result.metrics.items() for row in _rows(metric, compared)]
    columns = ["metric", "label", "cases", "mean A", "mean B", "B - A", "95 % interval"]
    table(columns, rows, words=("label",))
    say(
        f"Paired bootstrap over cases. Of HD95 less is better; NSD is at {result.nsd_tolerance_mm:g} mm. "
        "Only cases with a score in both count."
    )


def _rows(metric: "Metric", compared: "MetricComparison") -> list[list[str]]:
    from scnas_deploy.training.evaluation import METRICS

    named = {**compared.by_label, "mean foreground": compared.mean_foreground}
    return [[METRICS[metric], label, *_cells(difference)] for label, difference in named.items()]


def _cells(difference: "Difference | None") -> list[str]:
    if difference is None:
        return ["0", "-", "-", "-", "-"]
    means = [f"{difference.a:.4f}", f"{difference.b:.4f}", f"{difference.difference:+.4f}"]
    if difference.interval is None:
        return [str(difference.num_cases), *means, "-"]
    low, high = difference.interval
    return [str(difference.num_cases), *means, f"{low:+.4f} to {high:+.4f}"]
