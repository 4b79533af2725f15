"""Structured logs: a line of JSON for each event, made of words of ours and figures.

Libraries that handle patient data write it into their logs, pynetdicom above all. Of everybody else's messages only
who wrote, where and how severe it is comes through.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

from scnas_deploy.errors import ScnasError

_OURS: Final = "scnas_deploy"
_FIELDS: Final = "scnas"
"""Attribute of a record that holds its fields."""


def logger(name: str) -> logging.Logger:
    """Return one of our loggers."""
    return logging.getLogger(f"{_OURS}.{name}")


def event(log: logging.Logger, level: int, message: str, **fields: str | int | float | bool) -> None:
    """Write an event.

    Args:
        log: Of :func:`logger`.
        level: As in :mod:`logging`.
        message: A constant sentence.
        fields: Figures, states and names from the settings; never anything that came from outside.
    """
    log.log(level, message, extra={_FIELDS: fields})


def in_words(error: BaseException) -> str:
    """Which error it was, fit for a log: what an error of others says of its values may name a patient."""
    if isinstance(error, ScnasError):
        return error.redacted
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


class JsonFormatter(logging.Formatter):
    """One line a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name.partition(".")[0] == _OURS:
            line |= {"message": record.getMessage(), **getattr(record, _FIELDS, {})}
        else:
            line |= {"message": "a library's message, withheld", "line": record.lineno}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = in_words(record.exc_info[1])
        return json.dumps(line)


def start_logging(stream: TextIO = sys.stdout) -> None:
    """Send the logs of this process to a stream, and have uncaught errors of any thread say no values."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    import threading

    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    said = kind.__name__ if error is None else in_words(error)
    event(logger("serve"), logging.CRITICAL, "an error that nobody expected", error=said)
