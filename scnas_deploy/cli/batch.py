"""scnas batch: many studies become masks, by workers that may be killed at any time. Imports no PyTorch."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, progress, say, say_json

if TYPE_CHECKING:
    from scnas_deploy.inference.trust import Trust
    from scnas_deploy.jobs.batch import Batch
    from scnas_deploy.jobs.crew import Crew, Start
    from scnas_deploy.jobs.ledger import Ledger
    from scnas_deploy.jobs.study_worker import StudyOrders
    from scnas_deploy.jobs.summary import StudySummary

LEDGER: Final = "scnas-batch.db"
SUMMARY: Final = "summary.csv"
_ERRORS_SHOWN: Final = 10
_LEFTOVER_AGE_S: Final = 24 * 3600.0
"""Nobody writes a mask for as long as this."""


def batch(
    manifest: Annotated[
        Path,
        typer.Argument(
            help="CSV with a column study (study2, ... for more channels) and, if wanted, id, output, priority; "
            "a list of paths; or a folder of NIfTI files.",
            exists=True,
        ),
    ],
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Installed model or package; left out, the default.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder of masks and summary.csv; left out, MANIFEST_seg.", file_okay=False
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", help=f"Left out, {LEDGER} in the folder; else postgresql://... or sqlite:///FILE."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Studies segmented at a time.")] = 1,
    engine: options.EngineOption = "auto",
    precision: options.PrecisionOption = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of each worker's engine; left out, its part.")
    ] = None,
    mirror: options.MirrorOption = False,
    max_memory: options.MaxMemoryOption = None,
    force: Annotated[bool, typer.Option("--force", help="Segment even what the model was not made for.")] = False,
    retries: Annotated[
        int, typer.Option("--retries", min=0, help="Further attempts at a study that failed but may be sound.")
    ] = 2,
    ray: Annotated[
        str | None, typer.Option("--ray", help="Run the workers on the Ray cluster at HOST:PORT, or auto.")
    ] = None,
    require_signature: options.RequireSignatureOption = False,
    json: options.JsonOption = False,
) -> None:
    """Segment many studies; after a stop, the same command goes on."""
    from scnas_deploy.jobs.batch import make_batch
    from scnas_deploy.jobs.manifest import read_manifest
    from scnas_deploy.jobs.schema import absolute_url, sqlite_url
    from scnas_deploy.jobs.studies import StudySettings
    from scnas_deploy.jobs.study_worker import StudyOrders
    from scnas_deploy.jobs.summary import check_replaceable, exit_status
    from scnas_deploy.jobs.worker import WorkerSettings

    started = time.monotonic()
    folder = output or Path(f"{manifest.stem}_seg")
    rows = read_manifest(manifest, folder)
    check_replaceable(folder / SUMMARY)
    url = absolute_url(ledger or sqlite_url(folder / LEDGER))  # refuses what is none, before anything is begun
    package = options.model_folder().resolve(model).resolve()
    share = _threads(threads, workers, on_ray=ray is not None)
    memory = _memory(max_memory, workers, on_ray=ray is not None)
    trust = options.trust(require_signature=require_signature)
    digest, labels = _prove(package, engine, precision, share, trust)
    settings = StudySettings(
        model=package,
        model_digest=digest,
        engine=engine,
        precision=precision,
        threads=share,
        trust=trust,
        mirror=mirror,
        force=force,
        max_memory=memory,
    )
    plan = make_batch(rows, settings)
    orders = StudyOrders(ledger_url=url, studies=settings, worker=WorkerSettings(queue=plan.queue, name="unnamed"))
    summaries, stopped = _carry_out(
        folder, plan, orders, _Workforce(workers=workers, max_attempts=1 + retries, ray=ray)
    )
    _report(folder / SUMMARY, summaries, labels, time.monotonic() - started, as_json=json)
    _end(exit_status(summaries), stopped=stopped)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Workforce:
    """By whom a batch is carried out."""

    workers: int
    max_attempts: int
    """At a study."""
    ray: str | None
    """Address of a Ray cluster; None is this machine."""


def _carry_out(
    folder: Path, plan: "Batch", orders: "StudyOrders", crew: _Workforce
) -> tuple[Sequence["StudySummary"], bool]:
    """Do what is left of a batch; return what has become of it all, and whether it was stopped."""
    from scnas_deploy.jobs.batch import take_up
    from scnas_deploy.jobs.names import end_leases_of_the_gone
    from scnas_deploy.jobs.schema import is_local
    from scnas_deploy.jobs.summary import summarize
    from scnas_deploy.process import interrupt_flag

    with (
        _starting(orders, crew.ray, local=is_local(orders.ledger_url)) as start,
        _ledger(folder, orders.ledger_url) as opened,
        interrupt_flag() as interrupted,
    ):
        end_leases_of_the_gone(opened, plan.queue)
        take_up(opened, plan, max_attempts=crew.max_attempts)
        _work(opened, plan.queue, _crew(start, crew.workers, opened, interrupted), interrupted)
        return summarize(opened, plan), interrupted.is_set()


def _end(status: int, *, stopped: bool) -> None:
    if stopped:
        note("Stopped; the same command goes on.")
        raise KeyboardInterrupt
    raise typer.Exit(status)


def _threads(threads: int | None, workers: int, *, on_ray: bool) -> int | None:
    """Threads a worker: on this machine they share the cores, on Ray each takes what it has reserved."""
    from scnas_deploy.machine import num_cores

    if threads is not None or (workers == 1 and not on_ray):
        return threads
    return 1 if on_ray else max(1, num_cores() // workers)


def _memory(given: str | None, workers: int, *, on_ray: bool) -> int | None:
    """Bytes a study: several workers of this machine share what it has left, which each would take for its own."""
    from scnas_deploy.inference.memory import available_bytes

    if given is not None or workers == 1 or on_ray:
        return options.bytes_of(given)
    left = available_bytes()
    return None if left is None else left // workers


def _prove(package: Path, engine: str, precision: str, threads: int | None, trust: "Trust") -> tuple[str, list[str]]:
    """Open model and engine once before anything is enqueued; return the model's digest and its labels."""
    from scnas_deploy.inference.model import load_model

    model = load_model(package, engine=engine, precision=precision, num_threads=threads, trust=trust)
    note(f"Model '{model.package.manifest.name}', {model.verdict}, on {model.engine.name}: {model.engine_reason}.")
    return model.package.digest, [label.name for label in model.package.plan.labels]


def _ledger(folder: Path, url: str) -> "Ledger":
    """Open the ledger once the folder of the results, where it may lie, can be written to."""
    from scnas_deploy.files import check_writable, make_folder, remove_leftovers
    from scnas_deploy.jobs.ledger import Ledger

    make_folder(folder)
    check_writable(folder / SUMMARY)
    remove_leftovers(folder, age_s=_LEFTOVER_AGE_S)
    return Ledger(url)


@contextmanager
def _starting(orders: "StudyOrders", ray: str | None, *, local: bool) -> Iterator["Start"]:
    """What starts a worker of a name: here, or on a Ray cluster."""
    from scnas_deploy.jobs.study_worker import ProcessRunner

    if ray is None:
        yield lambda name: ProcessRunner(orders.named(name))
        return
    from scnas_deploy.jobs.ray_cluster import RayCluster

    with RayCluster(ray) as cluster:
        if local:
            cluster.refuse_local_ledger()
        cluster.refuse_threads(orders.studies.threads or 1)
        yield lambda name: cluster.start(orders.named(name))


def _crew(start: "Start", workers: int, ledger: "Ledger", interrupted: threading.Event) -> "Crew":
    from scnas_deploy.jobs.crew import Crew, CrewSettings
    from scnas_deploy.jobs.patience import patiently

    def on_loss(name: str, status: int, wait_s: float | None) -> None:
        follows = "no other one is started" if wait_s is None else f"another one starts in {wait_s:.0f} s"
        note(f"A worker was lost (status {status}); {follows}.")
        patiently(lambda: ledger.end_leases(name), interrupted)

    return Crew(start, CrewSettings(num_workers=workers), on_loss)


def _work(ledger: "Ledger", queue: str, crew: "Crew", interrupted: threading.Event) -> None:
    """Run the crew; progress is that of this call, studies that are done already left out."""
    from scnas_deploy.jobs.crew import work_through

    with progress("Segmenting studies") as show:
        before: int | None = None

        def report(finished: int, total: int) -> None:
            nonlocal before
            before = finished if before is None else before
            show(finished - before, total - before)

        work_through(ledger, queue, crew, interrupted, report)


def _report(
    path: Path, summaries: Sequence["StudySummary"], labels: Sequence[str], seconds: float, *, as_json: bool
) -> None:
    from scnas_deploy.jobs.summary import STATES, save_summary

    save_summary(path, summaries, labels)
    states = [summary.state for summary in summaries]
    counts = {state: states.count(state) for state in STATES if state in states}
    if as_json:
        say_json({"summary": str(path), "studies": len(summaries), **counts, "seconds": round(seconds, 3)})
        return
    for summary in [summary for summary in summaries if summary.error][:_ERRORS_SHOWN]:
        note(f"{summary.row.id}: {summary.error}")
    say(f"{', '.join(f'{number} {state}' for state, number in counts.items())}, in {seconds:.0f} s: {path}")
    say("For research use only.")
