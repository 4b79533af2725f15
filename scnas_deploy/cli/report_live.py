"""scnas report --watch: the page of a run, kept up to date while the run goes on."""

import time

from scnas_deploy.cli.report_pages import run_page
from scnas_deploy.cli.report_sources import Kind, Source
from scnas_deploy.cli.showing import HTML, Pages, show
from scnas_deploy.errors import ConfigError
from scnas_deploy.reports.training_run import version_of
from scnas_deploy.training.runs import RunFolder


def watch_run(source: Source, *, browser: bool) -> None:
    """Show a run's page until Ctrl-C.

    Raises:
        ConfigError: If the source is no run.
    """
    if source.kind is not Kind.RUN:
        remedy = "Name a run, or leave --watch out"
        raise ConfigError("--watch", expected="a run, which goes on", found=source.kind.value, remedy=remedy)
    run = RunFolder(source.path)
    run.record()
    show(live_pages(run), browser=browser)


def live_pages(run: RunFolder) -> Pages:
    """The page, and what its script asks for to learn whether it has changed."""

    def page() -> tuple[str, bytes]:
        version = version_of(run, time.time())
        return HTML, run_page(run, version).encode()

    def state() -> tuple[str, bytes]:
        return "text/plain; charset=utf-8", version_of(run, time.time()).encode()

    return {"": page, "state": state}
