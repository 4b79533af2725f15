"""Looking through a study: its series of images, and what was left out or cannot be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scnas_deploy.data.dicom.headers import UnreadableError, read_header
from scnas_deploy.data.dicom.instances import Instance, LeftOutError, instance_of
from scnas_deploy.data.dicom.sources import Source, list_sources


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """Images that share a series instance UID."""

    instances: tuple[Instance, ...]
    """In the order of their UIDs."""
    header: Any = field(repr=False)
    """The first one's data set, without pixels."""

    @property
    def uid(self) -> str:
        """Series instance UID."""
        return self.instances[0].series_uid


@dataclass(frozen=True, slots=True)
class Left:
    """An object that is no image of a volume."""

    source: Source = field(repr=False)
    reason: str
    """In words that identify nobody."""
    damaged: bool
    """Whether it could not be read, rather than being something else."""


@dataclass(frozen=True, eq=False, slots=True)
class Scan:
    """What a study holds."""

    series: tuple[Series, ...]
    """In the order of their UIDs."""
    left: tuple[Left, ...]


def scan(paths: Iterable[Path]) -> Scan:
    """Read the headers of all that lies in a study.

    Args:
        paths: Files, folders and zip archives.

    Raises:
        FormatError: If one of the paths is missing, or an archive cannot be read.
        InputError: If the system cannot list a folder just now.
    """
    by_series: dict[str, list[Instance]] = {}
    headers: dict[str, Any] = {}
    left: list[Left] = []
    for source in list_sources(paths):
        found = _look(source)
        if isinstance(found, Left):
            left.append(found)
            continue
        instance, header = found
        group = by_series.setdefault(instance.series_uid, [])
        if instance.uid <= min((each.uid for each in group[:1]), default=instance.uid):
            headers[instance.series_uid] = header
            group.insert(0, instance)
        else:
            group.append(instance)
    return Scan(_series(by_series, headers), tuple(left))


def _look(source: Source) -> tuple[Instance, Any] | Left:
    try:
        header = read_header(source)
        return instance_of(source, header), header.dataset
    except LeftOutError as error:
        return Left(source, str(error), damaged=False)
    except UnreadableError as error:
        return Left(source, str(error), damaged=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # the library turns values into their types when they are asked for
        return Left(source, f"damaged ({type(error).__name__})", damaged=True)


def _series(groups: Mapping[str, list[Instance]], headers: Mapping[str, Any]) -> tuple[Series, ...]:
    return tuple(Series(tuple(sorted(groups[uid], key=lambda each: each.uid)), headers[uid]) for uid in sorted(groups))
