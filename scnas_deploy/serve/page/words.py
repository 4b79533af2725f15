"""Figures for readers: times, durations, bytes and parts."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))
_JUST_NOW_S: Final = 2.0
_SHORT_S: Final = 10.0
_KILO: Final = 1000.0
_FOUR_DIGITS: Final = 999.5
_BYTES: Final = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as a page shows it."""

    iso: str
    clock: str
    """Date and time where the server stands."""
    ago: str


def moment(seconds: float, now: float) -> Moment:
    """Describe a time.

    Args:
        seconds: Since 1970.
        now: The same of the present.
    """
    local = datetime.fromtimestamp(seconds, UTC).astimezone()
    iso = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    ago = "just now" if now - seconds < _JUST_NOW_S else f"{duration(now - seconds)} ago"
    return Moment(iso, local.strftime("%Y-%m-%d %H:%M:%S"), ago)


def duration(seconds: float) -> str:
    """Return seconds in the unit that leaves at least two of it."""
    left = max(0.0, seconds)
    for unit, length in _UNITS:
        if left >= 2 * length:
            return f"{left / length:.0f} {unit}"
    return f"{left:.0f} s"


def took(seconds: float) -> str:
    """Return how long something took; tenths of a second where it was short."""
    return f"{seconds:.1f} s" if seconds < _SHORT_S else duration(seconds)


def size(num_bytes: float) -> str:
    """Return bytes in a unit of a thousand to the power of something."""
    power = 0
    while num_bytes >= _KILO and power < len(_BYTES) - 1:
        num_bytes, power = num_bytes / _KILO, power + 1
    return f"{num_bytes:.3g} {_BYTES[power]}" if num_bytes < _FOUR_DIGITS else f"{num_bytes:.0f} {_BYTES[power]}"


def part(fraction: float, digits: int = 0) -> str:
    """Return a part in per cent; all of it, and nothing else, is 100."""
    text = f"{100 * fraction:.{digits}f}"
    if fraction < 1 and float(text) == 100:
        return f"more than {100 - 10.0**-digits:.{digits}f} %"
    return f"{text} %"
