"""How many calls there may be at a time, of all clients and of each, and how long one may keep us waiting."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from scnas_deploy.errors import UnreachableError
from scnas_deploy.serve.logs import event, logger

FIRST_S: Final = 10.0
"""Until the first message of a call."""
NEXT_S: Final = 300.0
"""Until each further one: a client that makes the digest of a large file sends nothing meanwhile."""
_LOG: Final = logger("serve.rpc")


class Room:
    """Places for calls, of which no client can take more than half; may be used by several threads.

    Args:
        places: For all clients.
    """

    def __init__(self, places: int) -> None:
        self._places, self._each = places, max(1, places // 2)
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Take a place until the end of the block.

        Args:
            client: Whose call it is; empty where nobody is asked, who then have all places together.

        Raises:
            UnreachableError: If there is none.
        """
        with self._lock:
            if self._taken.total() >= self._places:
                raise _no_place(f"at most {self._places} calls at a time")
            if client and self._taken[client] >= self._each:
                raise _no_place(f"at most {self._each} calls of a client at a time")
            self._taken[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[client] -= 1
                self._taken += Counter()  # forgets those who have none


class Patience:
    """Waits for messages, and ends the calls that take too long about them; may be used by several threads.

    Args:
        crowd: So many calls may wait at a time; at one more the one that has waited longest is ended. None for any.
    """

    def __init__(self, crowd: int | None = None) -> None:
        self._crowd = crowd
        self._lock = threading.Lock()
        self._until: dict[Any, float] = {}

    def messages(self, requests: Iterable[bytes], context: Any) -> Iterator[bytes]:
        """Yield a call's messages as they come."""
        incoming, longest_s = iter(requests), FIRST_S
        while True:
            with self._waiting(context, longest_s):
                message = next(incoming, None)
            if message is None:
                return
            yield message
            longest_s = NEXT_S

    def end_late(self) -> None:
        """End the calls whose time is over; to be called now and then."""
        now = time.monotonic()
        with self._lock:
            late = [context for context, until in self._until.items() if until < now]
        self._end(late)

    @contextmanager
    def _waiting(self, context: Any, longest_s: float) -> Iterator[None]:
        with self._lock:
            crowded = self._crowd is not None and len(self._until) >= self._crowd
            longest = [next(iter(self._until))] if crowded else []
            for each in longest:
                del self._until[each]
            self._until[context] = time.monotonic() + longest_s
        self._end(longest)
        try:
            yield
        finally:
            with self._lock:
                self._until.pop(context, None)

    @staticmethod
    def _end(contexts: list[Any]) -> None:
        for context in contexts:
            event(_LOG, logging.WARNING, "ended a call that sent nothing")
            context.cancel()


def _no_place(expected: str) -> UnreachableError:
    return UnreachableError("the server", expected=expected, found="one more", remedy="Try again later")
