"""The free space of a spool, less what was announced and is still to come."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scnas_deploy.errors import SpoolFullError
from scnas_deploy.serve.spool import Spool


class Reservation:
    """Space kept for what was announced; made by :meth:`Space.reserve`."""

    def __init__(self, space: "Space", num_bytes: int) -> None:
        self._space, self.left = space, num_bytes

    def written(self, num_bytes: int) -> None:
        """Note that so much of it is on the disk, where the system counts it."""
        num_bytes = min(num_bytes, self.left)
        self.left -= num_bytes
        self._space.give_back(num_bytes)


class Space:
    """Lets in what fits, by all doors of this process together; may be used by several threads.

    Args:
        spool: Whose disk it is.
        min_free_bytes: That stay free.
    """

    def __init__(self, spool: Spool, min_free_bytes: int) -> None:
        self._spool, self._min_free_bytes = spool, min_free_bytes
        self._lock = threading.Lock()
        self._announced = 0

    def require(self) -> None:
        """Refuse to take anything more where the disk is nearly full.

        Raises:
            SpoolFullError: If it is, or will be by what is on its way.
        """
        with self._lock:
            self._require(0)

    @contextmanager
    def reserve(self, num_bytes: int) -> Iterator[Reservation]:
        """Keep space until the end of the block, less what is noted as written in it.

        Raises:
            SpoolFullError: If there is too little.
        """
        with self._lock:
            self._require(num_bytes)
            self._announced += num_bytes
        reservation = Reservation(self, num_bytes)
        try:
            yield reservation
        finally:
            self.give_back(reservation.left)

    def give_back(self, num_bytes: int) -> None:
        """Keep so much less."""
        with self._lock:
            self._announced -= num_bytes

    def _require(self, num_bytes: int) -> None:
        free = self._spool.free_bytes() - self._announced
        if free - num_bytes < self._min_free_bytes:
            raise SpoolFullError(
                "the spool",
                expected=f"at least {(self._min_free_bytes + num_bytes) / 1e9:.2f} GB of free space",
                found=f"{free / 1e9:.2f} GB",
                remedy="Send it again later; an operator has to free space, or lower disk.min_free_bytes",
            )
