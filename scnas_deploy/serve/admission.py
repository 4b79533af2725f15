"""Studies under way share the memory there is: one begins, or goes into the engine, when what it will take fits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LOOK_S: Final = 0.2
"""Between two looks at whether the waiting is to end."""

Check = Callable[[], None]
"""Raises where one who waits must not wait any longer."""


class Admission:
    """Memory that several studies share.

    A study that is alone is always let in, since what is too large for the machine is refused by its forecast, with
    figures; so nobody waits for ever.

    Args:
        limit: Bytes for all together; None lets everybody in.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._changed = threading.Condition()
        self._computing: dict[object, int] = {}
        self._reading: dict[object, int] = {}

    @contextmanager
    def study(self, read_bytes: int, check: Check) -> Iterator["Reservation"]:
        """Wait until a study can be read, and hold what it takes until the block ends.

        Args:
            read_bytes: What its voxels will take, as far as that is known before.
            check: Called while waiting.
        """
        reservation = Reservation(self)
        with self._changed:
            self._wait(
                lambda: self._fits(read_bytes, beside=[*self._reading.values(), *self._computing.values()]), check
            )
            self._reading[reservation] = read_bytes
        try:
            yield reservation
        finally:
            with self._changed:
                self._reading.pop(reservation, None)
                self._computing.pop(reservation, None)
                self._changed.notify_all()

    def compute(self, reservation: "Reservation", peak_bytes: int, check: Check) -> None:
        """Wait until a study that has been read can be computed.

        Those that have only been read do not count: they wait themselves, and must not keep each other waiting.
        """
        with self._changed:
            self._wait(lambda: self._fits(peak_bytes, beside=list(self._computing.values())), check)
            self._reading.pop(reservation, None)
            self._computing[reservation] = peak_bytes

    def held_bytes(self) -> int:
        """What is reserved now."""
        with self._changed:
            return sum(self._computing.values()) + sum(self._reading.values())

    def _fits(self, more: int, *, beside: list[int]) -> bool:
        return not beside or self.limit is None or sum(beside) + more <= self.limit

    def _wait(self, may: Callable[[], bool], check: Check) -> None:
        while not may():
            self._changed.wait(_LOOK_S)
            check()


class Reservation:
    """One study's part."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def compute(self, peak_bytes: int, check: Check) -> None:
        """Wait until the study, read by now, can be computed.

        Args:
            peak_bytes: What it takes at its peak, its voxels included.
            check: Called while waiting.
        """
        self._admission.compute(self, peak_bytes, check)
