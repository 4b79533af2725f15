"""scnas bench: what this machine's engines take, for a model or for the operations of the search space."""

from pathlib import Path
from typing import Annotated

import typer

from scnas_deploy.cli import options

_OPS_ONLY = "--ops alone: "


def bench(
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Installed model or package; left out, the default.")
    ] = None,
    study: Annotated[
        list[Path] | None,
        typer.Option("--study", help="NIfTI file, one a channel in order; left out, noise of the usual size."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", help="As in `scnas segment`; may be repeated. Left out, all that run here."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the engines.")] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, help="Turns of each engine, of which the median counts: 5.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="SVG to draw the engines' bars into.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="HTML page of what was measured to write.")] = None,
    json: options.JsonOption = False,
    ops: Annotated[
        bool, typer.Option("--ops", help="Measure the operations of the search space, for scnas search --budget-ms.")
    ] = False,
    project: Annotated[
        Path | None, typer.Option("--project", help=f"{_OPS_ONLY}working folder with plan.json.", file_okay=False)
    ] = None,
    stem_channels: Annotated[
        list[int] | None,
        typer.Option("--stem-channels", min=4, help=f"{_OPS_ONLY}a width to measure, a multiple of 4; repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=f"{_OPS_ONLY}where to write costs.json.")
    ] = None,
) -> None:
    """Measure every engine of this machine on a model: patches, studies, memory, and share of the machine's peak."""
    if ops:
        of_models = {"model": model, "study": study, "repeats": repeats, "picture": picture, "report": report}
        given = options.names_of_given(of_models)
        _refuse(given, "--ops", "no settings of a model beside it", "Leave them out")
        from scnas_deploy.cli.bench_ops import OpsRequest, bench_ops

        bench_ops(
            OpsRequest(
                project=project or Path(),
                engine=_one_of(engine or ["auto"]),
                num_threads=threads,
                stem_channels=stem_channels or [16, 32],
                output=output or Path("costs.json"),
                json=json,
            )
        )
        return
    given = options.names_of_given({"project": project, "stem_channels": stem_channels, "output": output})
    _refuse(given, "scnas bench", "settings of a model", "Measure operations with --ops")
    from scnas_deploy.cli.bench_engines import EnginesRequest, bench_engines

    bench_engines(
        EnginesRequest(
            model=model,
            study=study or [],
            engines=engine or [],
            num_threads=threads,
            repeats=repeats or 5,
            picture=picture,
            report=report,
            json=json,
        )
    )


def _one_of(engines: list[str]) -> str:
    _refuse([f"--engine {name}" for name in engines[1:]], "--ops", "one engine", "Measure one after the other")
    return engines[0]


def _refuse(given: list[str], subject: str, expected: str, remedy: str) -> None:
    from scnas_deploy.errors import ConfigError

    if given:
        raise ConfigError(subject, expected=expected, found=", ".join(given), remedy=remedy)
