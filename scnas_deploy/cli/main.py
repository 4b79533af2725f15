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
    search,
    segment,
    serve,
    sign,
    train,
    transfer,
)
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
app.command("train")(train.train)
app.command("transfer")(transfer.transfer)
app.command("baseline")(baseline.baseline)
app.command("evaluate")(evaluate.evaluate)
app.command("cross-validate")(cross_validate.cross_validate)
app.command("export")(export.export)
app.command("segment")(segment.segment)
app.command("batch")(batch.batch)
app.command("serve")(serve.serve)
app.add_typer(jobs.app, name="jobs")
app.add_typer(remote.app, name="remote")
app.command("bench")(bench.bench)
app.command("draw")(draw.draw)
app.add_typer(models.app, name="models")
app.command("sign")(sign.sign)
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Run the command line; errors of ours are one line on standard error and an exit status."""
    try:
        app()
    except ScnasError as error:
        sys.stderr.write(f"scnas: {_one_line(error)}\n")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.stderr.write("scnas: interrupted\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as in `scnas models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _one_line(error: ScnasError) -> str:
    return " ".join(str(error).split())
