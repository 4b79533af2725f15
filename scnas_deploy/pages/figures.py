"""Figures in words, on pages and terminals."""


def duration(seconds: float) -> str:
    """A time span as coarse as a reader needs: '40 s', '12 min', '3 h 5 min', '2 d 4 h'."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
