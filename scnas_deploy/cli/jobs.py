"""scnas jobs: the ledger of a server or of a batch. Shows nothing that names a patient."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scnas_deploy.cli.console import note, say, say_facts, say_json, table
from scnas_deploy.cli.job_views import describe_job, describe_study, in_words, job_cells, queue_name, study_cells
from scnas_deploy.cli.options import JsonOption
from scnas_deploy.jobs.job import JobState

if TYPE_CHECKING:
    from scnas_deploy.jobs.ledger import Ledger

SETTINGS_VARIABLE: Final = "SCNAS_SERVE_SETTINGS"

_WHY: Final = "expected to be finished, found that it was cancelled with scnas jobs."
_PAGE: Final = 500

LedgerOption = Annotated[str | None, typer.Option("--ledger", help="postgresql://... or sqlite:///FILE.")]
SettingsOption = Annotated[
    Path | None, typer.Option("--settings", help="serve.toml of the server whose jobs these are.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="How many to list.")]
JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="Number of a job.")]

app = typer.Typer(
    help="List the jobs of a server or a batch, look at one, cancel it, have it tried again.",
    invoke_without_command=True,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """Which ledger is meant, where a command is not told by itself."""

    ledger: str | None
    settings: Path | None


@app.callback()
def list_jobs(
    context: typer.Context,
    ledger: LedgerOption = None,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="serve.toml of the server whose jobs these are.", envvar=SETTINGS_VARIABLE),
    ] = None,
    state: Annotated[list[JobState] | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """List jobs, the newest first."""
    context.obj = _Named(ledger=ledger, settings=settings)
    if context.invoked_subcommand is not None:
        return
    with _opened(context) as opened:
        jobs = opened.listed(states=state or None, limit=limit)
    if json:
        say_json([describe_job(job) for job in jobs])
        return
    if not jobs:
        note("No such jobs." if state else "No jobs.")
        return
    columns = ["job", "queue", "state", "attempts", "age", "what", "error"]
    table(columns, [job_cells(job) for job in jobs], words=("queue", "state", "what", "error"))


@app.command("show", short_help="Show all of a job but what could name its patient.")
def show(
    context: typer.Context,
    job: JobArgument,
    ledger: LedgerOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Show all that is known of a job, except what could name its patient."""
    with _opened(context, ledger, settings) as opened:
        found = opened.find(job)
    if found is None:
        raise _unknown(job)
    told = describe_job(found)
    if json:
        say_json(told)
        return
    say_facts({name: words for name, value in told.items() if (words := in_words(name, value))})


@app.command("cancel", short_help="Cancel a job that is not finished.")
def cancel(
    context: typer.Context, job: JobArgument, ledger: LedgerOption = None, settings: SettingsOption = None
) -> None:
    """Cancel a job that is not finished; where it runs, it ends within seconds."""
    with _opened(context, ledger, settings) as opened:
        state = opened.cancel(job, _WHY)
    _require(job, state, JobState.CANCELLED, "one that waits or runs")
    say(f"Job {job} is cancelled.")


@app.command("retry", short_help="Have a failed, dead or cancelled job tried again.")
def retry(
    context: typer.Context,
    job: Annotated[int | None, typer.Argument(metavar="[JOB]", help="Number of a job.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All jobs that were given up.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="All jobs that have failed for good.")] = False,
    ledger: LedgerOption = None,
    settings: SettingsOption = None,
) -> None:
    """Have a failed, dead or cancelled job tried again, with all its attempts before it."""
    from scnas_deploy.errors import ConfigError

    states = [state for state, is_meant in ((JobState.DEAD, dead), (JobState.FAILED, failed)) if is_meant]
    if bool(states) is (job is not None):
        raise ConfigError(
            "scnas jobs retry",
            expected="the number of a job, or --dead, --failed or both",
            found="a number and an option" if states else "none of them",
            remedy="Name one job, or what all of them are",
        )
    with _opened(context, ledger, settings) as opened:
        if job is None:
            say(f"Jobs queued again: {_retry_all(opened, states)}")
            return
        _require(job, opened.retry(job), JobState.QUEUED, "one that has failed or was given up or cancelled")
    say(f"Job {job} is queued again.")


@app.command("counts")
def counts(
    context: typer.Context, ledger: LedgerOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Count jobs by queue and state."""
    with _opened(context, ledger, settings) as opened:
        counted = {queue: opened.counts(queue) for queue in opened.queues()}
    if json:
        say_json(counted)
        return
    if not counted:
        note("No jobs.")
        return
    rows = [[queue_name(queue), *map(str, numbers.values())] for queue, numbers in counted.items()]
    table(["queue", *JobState], rows)


@app.command("arrivals", short_help="List studies sent to the server and what became of them.")
def arrivals(
    context: typer.Context,
    ledger: LedgerOption = None,
    settings: SettingsOption = None,
    uids: Annotated[
        bool, typer.Option("--uids", help="Show study instance UIDs, which may lead to a patient.")
    ] = False,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """List studies that were sent to the server, the latest first, and what became of them."""
    from scnas_deploy.serve.arrivals import Arrivals

    with _opened(context, ledger, settings) as opened:
        studies = Arrivals(opened).latest(limit)
    if json:
        say_json([describe_study(study, uids=uids) for study in studies])
        return
    if not studies:
        note("No studies have arrived.")
        return
    columns = ["age", "objects", "from", "to", "outcome", *(["study UID"] if uids else [])]
    words = ("from", "to", "outcome", "study UID")
    table(columns, [study_cells(study, uids=uids) for study in studies], words=words)


@contextmanager
def _opened(context: typer.Context, ledger: str | None = None, settings: Path | None = None) -> Iterator["Ledger"]:
    """The ledger that the command names, or else what stands before it."""
    from scnas_deploy.jobs.ledger import Ledger

    named: _Named = context.obj
    url = _url(ledger, settings) or _url(named.ledger, named.settings)
    if url is None:
        raise _unnamed()
    _refuse_missing(url)
    with Ledger(url) as opened:
        yield opened


def _url(ledger: str | None, settings: Path | None) -> str | None:
    if ledger is not None or settings is None:
        return ledger
    from scnas_deploy.serve.parts import ledger_url
    from scnas_deploy.serve.settings import read_settings

    return ledger_url(read_settings(settings))


def _unnamed() -> Exception:
    from scnas_deploy.errors import ConfigError

    return ConfigError(
        "scnas jobs",
        expected="--ledger URL or --settings serve.toml",
        found="neither",
        remedy=f"Name one of them, or set {SETTINGS_VARIABLE}",
    )


def _refuse_missing(url: str) -> None:
    """A ledger that is looked at is not made."""
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.jobs.schema import local_file

    file = local_file(url)
    if file is not None and not file.exists():
        raise ConfigError(
            file,
            expected="the file of a ledger",
            found="no such file",
            remedy="Start the server first, or name another",
        )


def _unknown(job: int) -> Exception:
    from scnas_deploy.errors import NotFoundError

    return NotFoundError(
        f"job {job}", expected="a job of the ledger", found="no such job", remedy="List them with scnas jobs"
    )


def _require(job: int, state: JobState | None, wanted: JobState, expected: str) -> None:
    from scnas_deploy.errors import JobError

    if state is None:
        raise _unknown(job)
    if state is not wanted:
        raise JobError(f"job {job}", expected=expected, found=f"it {state}", remedy="Leave it as it is")


def _retry_all(ledger: "Ledger", states: list[JobState]) -> int:
    """Queue all jobs in these states again; return how many there were."""
    number, before = 0, None
    while jobs := ledger.listed(states=states, limit=_PAGE, before=before):
        number += sum(ledger.retry(job.id) is JobState.QUEUED for job in jobs)
        before = jobs[-1].id
    return number
