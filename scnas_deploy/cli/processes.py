"""Commands that run as several processes: starting them for --gpus, and having one of them speak."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scnas_deploy.cli.console import note, progress

if TYPE_CHECKING:
    from scnas_deploy.training.distributed import World
    from scnas_deploy.training.folds import Split
    from scnas_deploy.training.prepared import PreparedCase, PreparedCases

_SIGNALLED = 128
"""A shell's exit status of a process that a signal has ended is this and the signal's number."""


def spread(gpus: int) -> None:
    """Run this very command as several processes and end with their exit status.

    Returns where there is nothing to start: one process is asked for, or this one is among several already.

    Args:
        gpus: How many processes.

    Raises:
        ConfigError: If there are fewer GPUs.
        PeerError: If a signal, such as that of a machine out of memory, has ended a process.
    """
    from scnas_deploy.machine import num_cores
    from scnas_deploy.training.distributed import check_gpus, started_by_torchrun

    if gpus == 1 or started_by_torchrun():
        return
    check_gpus(gpus)
    num_threads = max(1, num_cores() // gpus)
    _announce(gpus, num_threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(num_threads))
    raise typer.Exit(_torchrun("--nproc-per-node", str(gpus)))


def _announce(gpus: int, num_threads: int) -> None:
    import torch

    if not torch.cuda.is_available():
        note(f"No CUDA here: --gpus {gpus} runs {gpus} processes on the CPU, {num_threads} threads each.")


def _torchrun(*options: str) -> int:
    """Run this command under torchrun on this machine; what the processes have said is not said again."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.ERROR)
    local = ("--standalone", "--local-addr", "127.0.0.1", "--max-restarts", "0")
    command = ("-m", "scnas_deploy", *sys.argv[1:])
    try:
        torchrun.run(torchrun.parse_args([*local, *options, *command]))  # type: ignore[no-untyped-call]
    except SignalException as received:
        return _SIGNALLED + received.sigval
    except ChildFailedError as failed:
        return _status(failed.get_first_failure()[1].exitcode)
    return 0


def _status(exitcode: int) -> int:
    from scnas_deploy.errors import PeerError

    if exitcode < 0:
        raise PeerError(
            "training on several processes",
            expected="every process to run to its end",
            found=f"one ended by {signal.Signals(-exitcode).name}",
            remedy="See what ended it, such as too little memory, then go on with --resume",
        )
    return exitcode


@contextmanager
def joined() -> Iterator["World"]:
    """Join the other processes, where there are any; within the block, only the main one prints."""
    from scnas_deploy.training.distributed import open_world

    with open_world() as world, ExitStack() as stack:
        if not world.is_main:
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        yield world


def on_main(world: "World", action: Callable[[], None]) -> None:
    """Do something in the main process while the others wait; where it is refused, they end with its exit status."""
    from scnas_deploy.errors import ScnasError

    refused = None
    try:
        if world.is_main:
            action()
    except ScnasError as error:
        refused = error
    status = world.largest(0 if refused is None else refused.exit_status)
    if refused is not None:
        raise refused
    if status:
        raise typer.Exit(status)


def load_cases(cases: "PreparedCases", case_ids: Sequence[str], world: "World") -> list["PreparedCase"]:
    """Load cases in every process; each prepares its share of those that are not in the cache yet."""
    with progress("Preparing cases") as report:
        if world.world_size > 1:
            cases.load(case_ids[world.rank :: world.world_size], report)
            world.barrier()
        return cases.load(case_ids, report)


def load_split(
    cases: "PreparedCases", split: "Split", world: "World"
) -> tuple[list["PreparedCase"], list["PreparedCase"]]:
    """Load a fold's training cases and those it holds out, as :func:`load_cases`."""
    prepared = load_cases(cases, [*split.training, *split.validation], world)
    return prepared[: len(split.training)], prepared[len(split.training) :]
