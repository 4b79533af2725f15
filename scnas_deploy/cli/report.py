"""scnas report: a page of what a run, an evaluation or a measurement has left behind. Imports no PyTorch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say

if TYPE_CHECKING:
    from scnas_deploy.cli.report_sources import Source


def report(
    source: Annotated[
        str,
        typer.Argument(help="A run's name or folder; evaluation.json; cross-validation.json; or JSON of scnas bench."),
    ],
    other: Annotated[str | None, typer.Argument(help="A second evaluation, to compare with the first.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML to write; left out, beside what it is about.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show a run in the browser as it goes on, until Ctrl-C; write nothing.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="With --watch: print the address and open no browser.")
    ] = False,
    project: options.ProjectOption = Path(),
) -> None:
    """Make a page of a search, a training, an evaluation, a comparison, a cross-validation or a measurement."""
    from scnas_deploy.cli.report_sources import find_source

    _check(output, other, watch=watch, no_browser=no_browser)
    first = find_source(source, project)
    if watch:
        from scnas_deploy.cli.report_live import watch_run

        watch_run(first, browser=not no_browser)
        return
    if other is None:
        _write(output or first.page, first)
    else:
        _write(output or first.page.with_name("comparison-report.html"), first, find_source(other, project))


def _write(target: Path, *sources: "Source") -> None:
    from scnas_deploy.cli.report_pages import page_of
    from scnas_deploy.files import check_writable, write_text

    check_writable(target)
    write_text(target, page_of(*sources))
    say(f"Wrote {target}")


def _check(output: Path | None, other: str | None, *, watch: bool, no_browser: bool) -> None:
    from scnas_deploy.errors import ConfigError

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("--output", expected="a name that ends in .html", found=output.name, remedy="Change the name")
    beside = {"--output": output is not None, "a second source": other is not None}
    given = [name for name, is_given in beside.items() if is_given]
    if watch and given:
        raise ConfigError("--watch", expected="one run", found=f"{', '.join(given)} beside it", remedy="Leave that out")
    if no_browser and not watch:
        remedy = "Leave it out: a page that is written is not opened"
        raise ConfigError("--no-browser", expected="--watch beside it", found="none", remedy=remedy)
