"""Studies under way share the memory there is: one is read, and computed, when what it will take fits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

_LOOK_S: Final = 0.2
"""Between two looks at whether the waiting is to end."""

Check = Callable[[], None]
"""Raises where one who waits must not wait any longer."""


@dataclass(frozen=True, order=True, slots=True)
class _Turn:
    """Where somebody stands in the line: who has been read already goes first, since he holds memory."""

    is_reading: bool
    minus_priority: int
    number: int


@dataclass(eq=False, slots=True)
class _Held:
    """What a study holds."""

    size: int
    is_computing: bool = False
    is_passing: bool = False
    """Given back within moments, so that others wait for it and do with no less memory because of it."""


class Admission:
    """Memory that several studies share.

    Only the first in line is let in, so that a large study is not passed by small ones for ever. One beside which
    nobody computes is always let in: it gets what the others that have been read leave, and its own forecast refuses
    it, with figures, where that is too little.

    Args:
        limit: Bytes for all together; None lets everybody in.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._changed = threading.Condition()
        self._held: list[_Held] = []
        self._line: list[_Turn] = []
        self._numbers = count()
        self._alone: _Held | None = None

    @contextmanager
    def study(
        self, read_bytes: int, check: Check, *, priority: int = 0, alone: bool = False, passing: bool = False
    ) -> Iterator["Reservation"]:
        """Wait until a study can be read, and hold what it takes until the block ends.

        Args:
            read_bytes: What its voxels will take, as far as that is known before.
            check: Called while waiting.
            priority: Higher ones first.
            alone: Have no other study under way beside it.
            passing: It is only looked at, and given back within moments.
        """
        held = _Held(read_bytes, is_passing=passing)

        def enter() -> bool:
            if not self._may_read(read_bytes, alone=alone):
                return False
            self._held.append(held)
            self._alone = held if alone else self._alone
            return True

        self._wait(enter, self._turn(priority, is_reading=True), check)
        try:
            yield Reservation(self, held, priority)
        finally:
            with self._changed:
                self._held.remove(held)
                self._alone = None if self._alone is held else self._alone
                self._changed.notify_all()

    def held_bytes(self) -> int:
        """What is reserved now."""
        with self._changed:
            return sum(each.size for each in self._held)

    def _may_read(self, size: int, *, alone: bool) -> bool:
        if not self._held:
            return True
        if alone or self._alone is not None:
            return False
        return self.limit is None or sum(each.size for each in self._held) + size <= self.limit

    def _compute(self, held: _Held, size: int, priority: int, check: Check) -> None:
        def enter() -> bool:
            others = [each for each in self._held if each is not held]
            is_first = not any(each.is_computing or each.is_passing for each in others)
            if not is_first and self.limit is not None and sum(each.size for each in others) + size > self.limit:
                return False
            held.size, held.is_computing = size, True
            return True

        self._wait(enter, self._turn(priority, is_reading=False), check)

    def _grow(self, held: _Held, size: int, priority: int, check: Check) -> None:
        def enter() -> bool:
            others = sum(each.size for each in self._held if each is not held)
            if self.limit is not None and others + size > self.limit:
                return False
            held.size = size
            return True

        self._wait(enter, self._turn(priority, is_reading=True), check)

    def _left_beside(self, held: _Held) -> int | None:
        """What those that wait as well, their voxels in memory, leave."""
        with self._changed:
            others = [each for each in self._held if each is not held]
            waiting = sum(each.size for each in others if not each.is_computing and not each.is_passing)
        return None if self.limit is None else max(1, self.limit - waiting)

    def _turn(self, priority: int, *, is_reading: bool) -> _Turn:
        return _Turn(is_reading, -priority, next(self._numbers))

    def _wait(self, enter: Callable[[], bool], turn: _Turn, check: Check) -> None:
        with self._changed:
            self._line.append(turn)
        try:
            while not self._is_let_in(enter, turn):
                check()  # outside the lock: it may ask the ledger
        finally:
            with self._changed:
                self._line.remove(turn)
                self._changed.notify_all()

    def _is_let_in(self, enter: Callable[[], bool], turn: _Turn) -> bool:
        with self._changed:
            if turn == min(self._line) and enter():
                return True
            self._changed.wait(_LOOK_S)
            return False


@dataclass(frozen=True, slots=True)
class Reservation:
    """One study's part."""

    _admission: Admission
    _held: _Held = field(repr=False)
    _priority: int = 0

    def has_read(self, num_bytes: int) -> int | None:
        """Say what its voxels take in truth; returns the bytes that it may take for all, None without a limit."""
        self._held.size = num_bytes
        return self._admission._left_beside(self._held)

    def grow(self, num_bytes: int, check: Check) -> None:
        """Wait until it may take so much, beside all others and after whoever waits for more than a look.

        Args:
            num_bytes: What it takes from now on.
            check: Called while waiting.
        """
        self._admission._grow(self._held, num_bytes, self._priority, check)

    def compute(self, peak_bytes: int, check: Check) -> None:
        """Wait until the study, read by now, can be computed.

        Args:
            peak_bytes: What it takes at its peak, its voxels included.
            check: Called while waiting.
        """
        self._admission._compute(self._held, peak_bytes, self._priority, check)
