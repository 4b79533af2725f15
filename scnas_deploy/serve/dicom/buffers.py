"""Memory for what comes from others: of bounded size, and all of it together too."""

import io
import threading
from collections import deque
from typing import Any


class Budget:
    """Bytes that several buffers may keep together; may be used by several threads.

    Args:
        limit: How many.
    """

    def __init__(self, limit: int) -> None:
        self._left, self._lock = limit, threading.Lock()
        self._given_back: deque[int] = deque()

    def take(self, size: int) -> bool:
        """Take so many; False, and none, where they are not left."""
        with self._lock:
            while self._given_back:
                self._left += self._given_back.popleft()
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Leave them to others; without the lock, since garbage may be collected by who holds it."""
        self._given_back.append(size)


class BoundedBuffer(io.BytesIO):
    """Keeps what is written up to a limit, and beyond it nothing at all.

    Args:
        limit: Bytes.
        budget: From which they are taken too, until it is closed or nobody has it any more; by itself it has its own.
    """

    def __init__(self, limit: int, budget: Budget | None = None) -> None:
        super().__init__()
        self._left, self._taken = limit, 0
        self._budget = budget or Budget(limit)
        self.overflow = ""
        """Why it keeps nothing, where that is so."""

    def write(self, data: Any) -> int:
        """Keep some more; it is always said to be written."""
        size = len(data)
        self._left -= size
        if self._left < 0:
            self._refuse("it is larger than max_object_bytes")
        elif not self.overflow and not self._budget.take(size):
            self._refuse("too much is on its way in together with it")
        if self.overflow:
            return size
        self._taken += size
        return super().write(data)

    def empty(self) -> None:
        """Let go of what it keeps, and not yet of its part of the budget: somebody has a copy."""
        self.seek(0)
        self.truncate()

    def close(self) -> None:
        """Let go of all."""
        self._give_back()
        super().close()

    def _refuse(self, why: str) -> None:
        self.overflow = self.overflow or why
        self.empty()
        self._give_back()

    def _give_back(self) -> None:
        self._budget.give_back(self._taken)
        self._taken = 0
