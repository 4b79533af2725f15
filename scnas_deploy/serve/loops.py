"""Threads that do something again and again for as long as the server lives."""

import threading
from collections.abc import Callable
from typing import Final

from scnas_deploy.errors import LedgerError
from scnas_deploy.serve.logs import event, in_words, logger

_LOG: Final = logger("serve.loops")
_INFO, _WARNING, _ERROR = 20, 30, 40


class Loop:
    """Calls an action, waits, and calls it again; an error is logged when it first comes, and stops nothing.

    Args:
        name: Of the thread, and in the log.
        action: What to do.
        every_s: Seconds between two calls.
        stop: Ends it.
        first_after_s: Seconds until the first call.
    """

    def __init__(
        self,
        name: str,
        action: Callable[[], object],
        every_s: float,
        stop: threading.Event,
        *,
        first_after_s: float = 0.0,
    ) -> None:
        self._name, self._action, self._every_s, self._stop = name, action, every_s, stop
        self._first_after_s = first_after_s
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._stop.wait(self._first_after_s)
        while not self._stop.is_set():
            try:
                self._action()
            except LedgerError as error:
                self._note(_WARNING, error)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next round is to come
                self._note(_ERROR, error)
            else:
                if self._trouble:
                    event(_LOG, _INFO, "it works again", loop=self._name)
                self._trouble = ""
            self._stop.wait(self._every_s)

    def _note(self, level: int, error: Exception) -> None:
        said = in_words(error)
        if said != self._trouble:
            event(_LOG, level, "it does not work and is tried again", loop=self._name, error=said)
        self._trouble = said
