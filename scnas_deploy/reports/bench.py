"""The page of a measurement: engines against each other, speed against accuracy, memory said against taken."""

import json
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from scnas_deploy.errors import FormatError
from scnas_deploy.files import reading
from scnas_deploy.inference.bench import Bench, EngineFigures
from scnas_deploy.pages.page import CHART_SCRIPTS, render
from scnas_deploy.reports.bench_charts import accuracy_chart, energy_charts, memory_chart, named, speed_charts
from scnas_deploy.reports.training_words import UNKNOWN, Facts, size

_ROOM: Final = "scnas_deploy.reports"


def load_bench(path: Path) -> Bench:
    """Read what ``scnas bench --json`` has printed; figures that an older version did not measure are unknown.

    Raises:
        FormatError: If the file is no such measurement.
    """
    with reading(path):
        text = path.read_bytes()
    try:
        return TypeAdapter(Bench).validate_python(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        found = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "no JSON"
        remedy = "Measure again with `scnas bench --json`"
        raise FormatError(path, expected="what scnas bench --json has printed", found=found, remedy=remedy) from error


def bench_page(bench: Bench) -> str:
    """Draw a measurement as one HTML file."""
    measured = [figures for figures in bench.engines if figures.error is None]
    return render(
        "bench.html.j2",
        room=_ROOM,
        scripts=CHART_SCRIPTS,
        model=bench.model,
        facts=_facts(bench),
        digest=bench.model_digest,
        failures=[(named(figures), figures.error) for figures in bench.engines if figures.error is not None],
        speed=speed_charts(measured),
        accuracy=accuracy_chart(measured),
        memory=memory_chart(measured),
        energies=energy_charts(measured),
        speed_rows=[_speed_row(figures) for figures in measured],
        other_rows=[_other_row(figures) for figures in measured],
    )


def _facts(bench: Bench) -> Facts:
    patch, study = (" x ".join(map(str, shape)) for shape in (bench.patch_size, bench.study_shape))
    spacing = " x ".join(f"{mm:.3g}" for mm in bench.study_spacing_mm)
    gmacs = UNKNOWN if bench.gmacs_per_patch is None else f"{bench.gmacs_per_patch:.2f} GMAC"
    return (
        ("Processor", bench.processor),
        ("Threads", str(bench.num_threads)),
        ("Its peak, a matrix product", f"{bench.peak_gmacs_per_second:.1f} GMAC/s"),
        ("Patch", f"{patch} voxels, {gmacs}"),
        ("Study", f"{study} voxels of {spacing} mm"),
    )


def _speed_row(figures: EngineFigures) -> tuple[str, ...]:
    share = figures.share_of_peak
    return (
        named(figures),
        figures.device or "-",
        _number(figures.batch_size, 0),
        _number(figures.patches_per_second, 2),
        _number(figures.gmacs_per_second, 1),
        "-" if share is None else f"{share:.1%}",
        _number(figures.study_seconds, 3),
    )


def _other_row(figures: EngineFigures) -> tuple[str, ...]:
    agreement = figures.label_agreement
    amounts = (figures.peak_bytes, figures.said_bytes, figures.taken_bytes)
    return (
        named(figures),
        *("-" if amount is None else size(amount) for amount in amounts),
        "-" if agreement is None else f"{100 * agreement:.3f} %",
        _number(figures.dice_loss, 4),
        _number(figures.cpu_joules, 1),
        _number(figures.gpu_joules, 1),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
