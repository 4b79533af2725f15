"""scnas remote: segmentation on a server."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli.console import note, progress, say, say_json, table
from scnas_deploy.cli.options import JsonOption
from scnas_deploy.cli.remote_server import RemoteServer
from scnas_deploy.cli.segment import Allowed
from scnas_deploy.jobs.job import JobState

if TYPE_CHECKING:
    from scnas_deploy.serve.rpc.client import Client
    from scnas_deploy.serve.rpc.receiving import Fetched
    from scnas_deploy.serve.rpc.values import Standing, Wish

app = typer.Typer(help="Segment on a server: submit studies, watch jobs, fetch results.", no_args_is_help=True)

JobArgument = Annotated[int, typer.Argument(help="Number of the job.", min=1)]
FolderOption = Annotated[Path, typer.Option("-o", "--output", help="Folder to write the result into.")]


class Priority(StrEnum):
    """Who goes first."""

    CLINICAL = "clinical"
    ARCHIVE = "archive"


@app.callback()
def remote(
    context: typer.Context,
    server: Annotated[
        str, typer.Option("--server", envvar="SCNAS_SERVER", help="HOST:PORT of the server.")
    ] = "localhost:50051",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File that holds the token to show.", dir_okay=False)
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt, and trust whom this machine trusts.")] = False,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Encrypt, and trust who is in this file (PEM).", dir_okay=False)
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="Our certificate to show (PEM).", dir_okay=False)
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The certificate's key (PEM).", dir_okay=False)] = None,
) -> None:
    """Say which server; its commands follow."""
    from scnas_deploy.extras import check_installed

    check_installed("grpc", extra="serve", purpose="the client of a segmentation server")
    chosen = RemoteServer(target=server, token_file=token_file, tls=tls, ca=ca, certificate=certificate, key=key)
    if token_file is not None and not chosen.encrypts:
        note("warning: the token goes over the network in the clear; encrypt with --tls or --ca.")
    context.obj = chosen


@app.command("submit", short_help="Send a study; print its job, or bring its result.")
def submit(
    context: typer.Context,
    study: Annotated[
        list[Path],
        typer.Argument(
            help="NIfTI file, several of them for several channels in order; or a DICOM folder, zip or files."
        ),
    ],
    model: Annotated[str, typer.Option("-m", "--model", help="Model of the server; left out, its default.")] = "",
    format: Annotated[  # noqa: A002  # the option's name
        str | None, typer.Option("--format", help="nifti, dicom-seg, dicom-labelmap, sr, rtstruct, preview, by commas.")
    ] = None,
    priority: Annotated[Priority, typer.Option("--priority", help="Clinical studies go first.")] = Priority.CLINICAL,
    series: Annotated[
        list[str] | None, typer.Option("--series", help="UID of a DICOM series to take; one for each channel.")
    ] = None,
    allow: Annotated[
        list[Allowed] | None,
        typer.Option("--allow", help="Correct DICOM planes that form no regular grid; repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Segment even what the model was not made for.")] = False,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", min=0.001, help="Seconds after which the job is cancelled.")
    ] = None,
    idempotency_key: Annotated[
        str, typer.Option("--idempotency-key", help="Submitted again under the same key, it is the same job.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job is finished.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for the result; waits for it.")] = None,
    json: JsonOption = False,
) -> None:
    """Send a study; print the number of its job, or with -o bring its result."""
    from scnas_deploy.results.formats import parse_formats
    from scnas_deploy.serve.rpc.values import Wish

    wish = Wish(
        model=model,
        formats=() if format is None else parse_formats(format),
        priority=priority.value,
        series=tuple(series or ()),
        allow=tuple(each.value for each in allow or ()),
        force=force,
        time_limit_s=time_limit,
        idempotency_key=idempotency_key,
    )
    with context.obj.connected() as client:
        job = _submit(client, study, wish)
        if wait or output is not None:
            _wait(client, job)
        if output is not None:
            _print_result(client.fetch(job, output), output, job, as_json=json)
        elif json:
            say_json({"job": job})
        else:
            say(str(job))


@app.command("watch", short_help="Show how a job stands until it is finished.")
def watch(
    context: typer.Context,
    job: JobArgument,
    cancel_on_end: Annotated[
        bool, typer.Option("--cancel-on-end", help="Have the job cancelled when this command is ended before it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show how a job stands until it is finished; one that came to nothing ends with status 1."""
    with context.obj.connected() as client:
        standing = _wait(client, job, cancel_on_end=cancel_on_end)
    if json:
        say_json({"job": job, **asdict(standing)})
    else:
        say(standing.state)


@app.command("fetch")
def fetch(context: typer.Context, job: JobArgument, output: FolderOption, json: JsonOption = False) -> None:
    """Bring the result of a job that is done."""
    with context.obj.connected() as client:
        _print_result(client.fetch(job, output), output, job, as_json=json)


@app.command("cancel", short_help="End a job and print where it stands now.")
def cancel(context: typer.Context, job: JobArgument, json: JsonOption = False) -> None:
    """End a job and print where it stands now; a finished one stays as it is."""
    with context.obj.connected() as client:
        state = client.cancel(job)
    if json:
        say_json({"job": job, "state": state})
    else:
        say(state)


@app.command("jobs")
def jobs(
    context: typer.Context,
    state: Annotated[
        list[JobState] | None, typer.Option("--state", help="Only jobs in this state; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 100,
    json: JsonOption = False,
) -> None:
    """List our jobs, newest first."""
    from itertools import islice

    with context.obj.connected() as client:
        found = list(islice(client.jobs(states=state or ()), limit))
    if json:
        times = ("enqueued_at", "changed_at")
        say_json([{**asdict(each), **{name: getattr(each, name).isoformat() for name in times}} for each in found])
        return
    if not found:
        note("No such jobs." if state else "No jobs.")
        return
    rows = [
        [
            str(each.job),
            each.state,
            f"{each.fraction:.0%}",
            each.model,
            f"{each.enqueued_at:%Y-%m-%d %H:%M:%S}",
            each.error,
        ]
        for each in found
    ]
    columns = ["job", "state", "done", "model", "submitted (UTC)", "error"]
    table(columns, rows, words=("state", "model", "submitted (UTC)", "error"))


@app.command("models")
def models(context: typer.Context, json: JsonOption = False) -> None:
    """List the server's models; the default is marked."""
    with context.obj.connected() as client:
        found = client.models()
    if json:
        say_json([asdict(each) for each in found])
        return
    rows = [
        [
            each.name,
            "" if each.dice is None else f"{each.dice:.3f}",
            ", ".join(each.labels),
            "yes" if each.is_default else "",
            each.problem,
        ]
        for each in found
    ]
    columns = ["model", "Dice", "structures", "default", "problem"]
    table(columns, rows, words=("structures", "default", "problem"))


def _submit(client: "Client", study: list[Path], wish: "Wish") -> int:
    with progress("Sending", percent=True) as report:
        submitted = client.submit(
            study, wish, progress=lambda sent, total: report(sent, total, f"{sent / 1e6:.0f} of {total / 1e6:.0f} MB")
        )
    if submitted.known:
        note(f"note: that was submitted before; job {submitted.job} is {submitted.state}.")
    return submitted.job


def _wait(client: "Client", job: int, *, cancel_on_end: bool = False) -> "Standing":
    """Show a job's progress to its end; an interruption says how to go on."""
    from scnas_deploy.errors import JobError

    try:
        with progress("Segmenting", percent=True) as report:
            for standing in client.watch(job, cancel_on_end=cancel_on_end):
                words = standing.stage or standing.state
                report(round(100 * standing.fraction), 100, f"{words}, {standing.patches_per_s:.1f} patches/s")
    except KeyboardInterrupt:
        if not cancel_on_end:
            note(f"Job {job} goes on. See it with: scnas remote watch {job}; end it with: scnas remote cancel {job}")
        raise
    if standing.state == JobState.DONE:
        return standing
    raise JobError(
        f"job {job}",
        expected="a job that is done",
        found=f"one that is {standing.state}{f' ({standing.error})' if standing.error else ''}",
        remedy="Correct what it says, then submit the study again",
    )


def _print_result(fetched: "Fetched", folder: Path, job: int, *, as_json: bool) -> None:
    if as_json:
        files = [{"format": form, "path": str(path)} for form, path in fetched.files]
        say_json({"job": job, **asdict(fetched), "files": files})
        return
    for text in fetched.notes:
        note(f"note: {text}")
    for text in fetched.outside_limits:
        note(f"warning: {text}; segmented because of --force, check the result.")
    table(["structure", "ml"], [[name, f"{ml:.3f}"] for name, ml in fetched.volumes_ml.items()])
    say(f"Wrote {len(fetched.files)} files to {folder}. For research use only.")
