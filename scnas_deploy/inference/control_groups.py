"""What a container's limits leave of memory: Linux' control groups, versions 1 and 2."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_ROOT: Final = Path("/sys/fs/cgroup")
_NO_LIMIT: Final = 2**62
"""Version 1 writes the largest multiple of a page for none; version 2 writes 'max'."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The files of one control group."""

    limit: Path
    use: Path
    statistics: Path
    reclaimable: str
    """The field with the cached files that the system gives up first, counted as used, subgroups' included."""

    def left(self) -> int | None:
        """Bytes that may still be taken; None without a limit."""
        try:
            limit = int(self.limit.read_text())
            if limit >= _NO_LIMIT:
                return None
            return max(0, min(limit, limit - int(self.use.read_text()) + self._reclaimable()))
        except (OSError, ValueError):  # the group is gone, or the limit 'max'
            return None

    def _reclaimable(self) -> int:
        lines = map(str.split, self.statistics.read_text().splitlines())
        return next((int(value) for field, value in lines if field == self.reclaimable), 0)


def group_bytes_left() -> int | None:
    """Memory that this process' control group and those around it leave; None where none limits it."""
    left = [group.left() for group in _groups()]
    return min((each for each in left if each is not None), default=None)


@cache
def _groups() -> tuple[_Group, ...]:
    """The groups that may have a limit, looked for once: it may change, but not where it stands."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return ()
    return tuple(group for line in lines for group in _groups_of(*line.split(":", 2)) if group.limit.is_file())


def _groups_of(number: str, controllers: str, path: str) -> Iterator[_Group]:
    """A line's group and those around it; a container may be told the host's path, of which it sees the root alone."""
    names = [path.lstrip("/"), *map(str, Path(path.lstrip("/")).parents)]
    if number == "0":
        for folder in {_ROOT / name for name in names}:
            yield _Group(folder / "memory.max", folder / "memory.current", folder / "memory.stat", "inactive_file")
    elif "memory" in controllers.split(","):
        for folder in {_ROOT / "memory" / name for name in names}:
            limit, use = folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes"
            yield _Group(limit, use, folder / "memory.stat", "total_inactive_file")
