"""scnas bench: what every engine of this machine makes of a model. Imports no PyTorch."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, progress, say, say_json, table

if TYPE_CHECKING:
    from scnas_deploy.inference.bench import Bench, EngineFigures


@dataclass(frozen=True, kw_only=True, slots=True)
class EnginesRequest:
    """What the command line asks for."""

    model: str | None
    study: list[Path]
    """NIfTI files, one a channel; empty: a synthetic study."""
    engines: list[str]
    num_threads: int | None
    repeats: int
    picture: Path | None
    report: Path | None
    json: bool


def bench_engines(request: EnginesRequest) -> None:
    """Measure, print, draw."""
    from scnas_deploy.data.example import example_study
    from scnas_deploy.data.study import load_study
    from scnas_deploy.inference import bench

    _check_target("--picture", request.picture, ".svg", "Every browser shows SVG")
    _check_target("--report", request.report, ".html", "Change the name")
    package = options.open_trusted(options.model_folder().resolve(request.model))
    study = load_study(request.study) if request.study else example_study(package.plan)
    note(f"Model '{package.manifest.name}', a {'given' if request.study else 'synthetic'} study.")
    chosen = bench.BenchOptions(
        engines=tuple(request.engines),
        num_threads=request.num_threads,
        repeats=request.repeats,
        trust=options.trust(),
    )
    with progress("Measuring") as report:
        result = bench.bench_engines(package, study, chosen, report)
    if request.picture is not None:
        _draw(result, request.picture)
    if request.report is not None:
        _write_report(result, request.report)
    if request.json:
        say_json(asdict(result))
    else:
        _print(result)


def _check_target(option: str, path: Path | None, ending: str, remedy: str) -> None:
    """See before measuring that a file can be written, where one is asked for."""
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.files import check_writable

    if path is None:
        return
    if path.suffix.lower() != ending:
        raise ConfigError(option, expected=f"a name that ends in {ending}", found=path.name, remedy=remedy)
    check_writable(path)


def _draw(result: "Bench", path: Path) -> None:
    from scnas_deploy.drawing.bench import draw_bench
    from scnas_deploy.files import write_text

    write_text(path, draw_bench(result))
    note(f"Wrote {path}")


def _write_report(result: "Bench", path: Path) -> None:
    from scnas_deploy.files import write_text
    from scnas_deploy.reports.bench import bench_page

    write_text(path, bench_page(result))
    note(f"Wrote {path}")


def _print(result: "Bench") -> None:
    columns = [
        *("engine", "precision", "device", "batch", "patches/s", "GMAC/s"),
        *("of peak", "s a study", "peak MB", "CPU J", "GPU J"),
    ]
    table(columns, [_row(figures) for figures in result.engines], words=("precision", "device"))
    patch, study = (" x ".join(map(str, shape)) for shape in (result.patch_size, result.study_shape))
    spacing = " x ".join(f"{mm:.3g}" for mm in result.study_spacing_mm)
    gmacs = "" if result.gmacs_per_patch is None else f", {result.gmacs_per_patch:.2f} GMAC"
    say(f"A patch: {patch} voxels{gmacs}. The study: {study} voxels of {spacing} mm. Joules are a study's.")
    say(
        f"Peak: {result.peak_gmacs_per_second:.1f} GMAC/s, a large float32 matrix product on {result.num_threads} "
        f"thread(s), {result.processor}."
    )
    for figures in result.engines:
        if figures.error is not None:
            say(f"{figures.engine} was not measured. {figures.error}")


def _row(figures: "EngineFigures") -> list[str]:
    megabytes = None if figures.peak_bytes is None else figures.peak_bytes / 1e6
    share = "-" if figures.share_of_peak is None else f"{figures.share_of_peak:.1%}"
    return [
        figures.engine,
        figures.precision,
        figures.device or "-",
        _number(figures.batch_size, 0),
        _number(figures.patches_per_second, 2),
        _number(figures.gmacs_per_second, 1),
        share,
        _number(figures.study_seconds, 3),
        _number(megabytes, 0),
        _number(figures.cpu_joules, 1),
        _number(figures.gpu_joules, 1),
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
