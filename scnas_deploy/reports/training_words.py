"""Figures of a run as a person reads them."""

from typing import Any, Final

from scnas_deploy.pages.figures import duration
from scnas_deploy.pages.page import CHART_SCRIPTS
from scnas_deploy.reports.training_run import Condition, RunProgress

Facts = tuple[tuple[str, str], ...]
"""What a heading lists: names and what they are."""

UNKNOWN: Final = "not known"


def run_facts(progress: RunProgress) -> Facts:
    """How far a run is, and what it has taken."""
    record, ledger = progress.record, progress.ledger
    finished = progress.condition is Condition.FINISHED
    unit = "Episodes" if record.space == "ronasmis" else "Epochs"
    return (
        ("State", progress.condition.value),
        ("Preset, fold, seed", f"{record.preset}, {record.fold}, {record.config['seed']}"),
        (unit, f"{len(progress.epochs)} of {progress.num_planned}"),
        ("Time spent", duration(progress.seconds_spent)),
        *(() if finished else (("Time left", time_left(progress)),)),
        ("Peak memory", size(progress.peak_bytes)),
        ("Device", UNKNOWN if ledger is None else ledger.sittings[-1].device),
    )


def run_scripts(version: str | None) -> list[str]:
    """Scripts of every run's page, and of a live one."""
    return [*CHART_SCRIPTS, *([] if version is None else ["live.js"])]


def run_values(progress: RunProgress, *, version: str | None) -> dict[str, Any]:
    """What the template of every run's page names."""
    return {
        "name": progress.name,
        "version": version,
        "said": said(progress),
        "num_epochs": len(progress.epochs),
        "condition": progress.condition.value,
        "sittings": _sittings(progress),
        "settings": settings(progress.record.config),
    }


def said(progress: RunProgress) -> str:
    """One line that tells how far the run is."""
    unit = "episode" if progress.record.space == "ronasmis" else "epoch"
    far = f"{progress.condition.value.capitalize()}, {unit} {len(progress.epochs)} of {progress.num_planned}"
    if progress.condition is Condition.RUNNING and progress.epochs:
        return f"{far}, {time_left(progress)} left"
    return far


def settings(config: dict[str, Any], prefix: str = "") -> Facts:
    """All settings, those of parts with the part's name before them."""
    rows: list[tuple[str, str]] = []
    for name, value in config.items():
        words = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += settings(value, f"{words}: ")
        else:
            rows.append((words, _setting(value)))
    return tuple(rows)


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "-" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _sittings(progress: RunProgress) -> tuple[tuple[str, ...], ...]:
    """Start, device, processes, time, memory and energy of each."""
    return tuple(
        (
            sitting.started.replace("T", " ").removesuffix("+00:00"),
            sitting.device,
            str(sitting.num_processes),
            duration(sitting.seconds),
            size(sitting.peak_bytes),
            energy(sitting.cpu_joules),
            energy(sitting.gpu_joules),
        )
        for sitting in (() if progress.ledger is None else progress.ledger.sittings)
    )


def time_left(progress: RunProgress) -> str:
    """By the epochs so far; an interrupted run's is what it would take to go on."""
    left = progress.seconds_left
    if left is None:
        return "known after the first epoch"
    return f"about {duration(left)}" + (", once resumed" if progress.condition is Condition.INTERRUPTED else "")


def size(num_bytes: float | None) -> str:
    """Memory in decimal units."""
    if num_bytes is None:
        return UNKNOWN
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def energy(joules: float | None) -> str:
    """Energy in joules, watt hours or kilowatt hours."""
    if joules is None:
        return "not readable"
    if joules < 3600:
        return f"{joules:.0f} J"
    return f"{joules / 3600:.3f} Wh" if joules < 3.6e6 else f"{joules / 3.6e6:.3f} kWh"


def dice(value: float | None) -> str:
    """A Dice to the digits that are reported."""
    return "-" if value is None else f"{value:.4f}"
