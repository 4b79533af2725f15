"""The ``scnas`` command."""

import os
import sys

import typer

from scnas_deploy.cli import (
    baseline,
    batch,
    bench,
    cross_validate,
    doctor,
    draw,
    evaluate,
    export,
    init,
    jobs,
    models,
    remote,
    report,
    search,
    segment,
    serve,
    sign,
    train,
    transfer,
    view,
)
from scnas_deploy.cli.console import note
from scnas_deploy.cli.terminal import write_any_letter
from scnas_deploy.errors import ScnasError

INTERRUPTED = 130

app = typer.Typer(
    name="scnas",
    help="From a 3-D medical segmentation dataset to a network a hospital can run. For research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.command("search")(search.search)
app.command("train", short_help="Train a genotype's network from scratch on one fold.")(train.train)
app.command("transfer", short_help="Train a found genotype's network on a new task.")(transfer.transfer)
app.command("baseline")(baseline.baseline)
app.command("evaluate", short_help="Score held-out cases, or compare two evaluations.")(evaluate.evaluate)
app.command("cross-validate", short_help="Search, train and evaluate each fold for itself.")(
    cross_validate.cross_validate
)
app.command("export", short_help="Make a package of a trained network, proven on patches.")(export.export)
app.command("segment")(segment.segment)
app.command("view", short_help="Look at a study with masks, in three planes and 3-D.")(view.view)
app.command("batch", short_help="Segment many studies; after a stop, go on.")(batch.batch)
app.command("serve", short_help="Take studies by DICOM and gRPC, bring results back.")(serve.serve)
app.add_typer(jobs.app, name="jobs", short_help="Look at the jobs of a server or a batch; cancel, retry.")
app.add_typer(remote.app, name="remote", short_help="Segment on a server: submit, watch, fetch.")
app.command("bench", short_help="Measure every engine of this machine on a model.")(bench.bench)
app.command("draw")(draw.draw)
app.command("report", short_help="Make a page of a run, an evaluation or a measurement.")(report.report)
app.add_typer(models.app, name="models", short_help="List and install models, choose the default.")
app.command("sign", short_help="Sign a package, check a signature, or make a key.")(sign.sign)
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Run the command line; errors of ours are one line on standard error and an exit status."""
    write_any_letter()
    try:
        app()
    except ScnasError as error:
        note(f"scnas: {_one_line(error)}")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        note("scnas: interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as in `scnas models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _one_line(error: ScnasError) -> str:
    return " ".join(str(error).split())
