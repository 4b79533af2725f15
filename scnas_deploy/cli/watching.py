"""What a long run says and records beside its results: progress, the time left, and what it costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scnas_deploy.cli.console import Report, note, progress
from scnas_deploy.cli.forecast import Forecast
from scnas_deploy.pages.figures import duration

if TYPE_CHECKING:
    from scnas_deploy.training.distributed import World
    from scnas_deploy.training.ledger import Ledger
    from scnas_deploy.training.runs import RunFolder


@contextmanager
def watched(title: str, run: "RunFolder", world: "World") -> Iterator[Report]:
    """Watch a run; the report is to be called after each of its steps.

    Within the block progress is shown and, after the first steps, how long the run will take. What the sitting
    costs is in the run folder's ledger.json, also where the block ends with an error.
    """
    from scnas_deploy.training.meter import CostMeter

    forecast, meter = Forecast(world.hardware), CostMeter(run, world)
    try:
        with progress(title) as show:

            def report(done: int, total: int, figures: str = "") -> None:
                show(done, total, figures)
                forecast.after_step(done, total)
                meter.after_step()

            yield report
    finally:
        costs = meter.save()
    if costs is not None:
        note(costs_in_words(costs))


def costs_in_words(costs: "Ledger") -> str:
    """One line: time, sittings, memory and energy."""
    sittings = f" in {len(costs.sittings)} sittings" if len(costs.sittings) > 1 else ""
    energies = {"processor": costs.cpu_joules, "GPU": costs.gpu_joules}
    known = [f"{joules / 3.6e6:.3f} kWh {part}" for part, joules in energies.items() if joules is not None]
    energy = ", ".join(known) or "energy not readable"
    return f"Cost: {duration(costs.seconds)}{sittings}, {costs.peak_bytes / 1e9:.2f} GB at its peak, {energy}."
