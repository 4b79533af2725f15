"""What a batch is made of: a table, a list or a folder of studies."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from scnas_deploy.data.nifti import is_nifti_name
from scnas_deploy.errors import ConfigError
from scnas_deploy.inference.segmentation import check_result_name

_STUDY: Final = "study"
_OTHER_COLUMNS: Final = ("id", "output", "priority")
_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRow:
    """One study of a batch."""

    number: int
    """Line of the manifest, or place in the folder, from 1 on."""
    id: str
    """Names the study in the summary, and its mask unless an output is given."""
    studies: tuple[Path, ...]
    """Absolute paths, one a channel."""
    output: Path
    """Absolute path of the mask."""
    priority: int = 0
    """Higher ones are segmented first."""


def read_manifest(manifest: Path, folder: Path) -> list[StudyRow]:
    """Read the studies of a batch.

    Args:
        manifest: A CSV file with the header ``study`` (``study2`` and so on for further channels) and, if wanted,
            ``id``, ``output`` and ``priority``; or a text file with one path a line; or a folder, whose NIfTI files
            are taken. Relative paths are relative to it.
        folder: Where masks lie whose output is not given.

    Raises:
        ConfigError: If it is none of these or has no study, if two rows share their id or output, or if masks would
            lie among the studies of a folder, whose next call would take them for studies.
    """
    if manifest.is_dir() and manifest.resolve() == folder.resolve():
        raise _refused(manifest, "another folder for the masks", "that of the studies", "Choose another one with -o")
    try:
        rows = list(_rows(manifest, folder))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found = error.strerror if isinstance(error, OSError) else "something else"
        raise _refused(manifest, "a readable manifest", str(found), "Name a CSV file, a list or a folder") from error
    if not rows:
        raise _refused(manifest, "at least one study", "none", "Add one a line, or name a folder of NIfTI files")
    _refuse_twins(manifest, rows, "ids", lambda row: row.id)
    _refuse_twins(manifest, rows, "outputs", lambda row: str(row.output.resolve()))
    _keep_the_studies(manifest, rows)
    return rows


def _rows(manifest: Path, folder: Path) -> Iterator[StudyRow]:
    if manifest.is_dir():
        for number, path in enumerate(sorted(filter(is_nifti_name, manifest.iterdir())), start=1):
            yield _row(manifest, folder, number, {_STUDY: path.name})
        return
    text = manifest.read_text(encoding="utf-8-sig")
    if manifest.suffix.lower() == ".csv":
        yield from _of_table(manifest, folder, text)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield _row(manifest, folder, number, {_STUDY: line.strip()})


def _of_table(manifest: Path, folder: Path, text: str) -> Iterator[StudyRow]:
    reader = csv.DictReader(StringIO(text, newline=""), strict=True)
    header = list(reader.fieldnames or ())
    channels = [name for name in header if name not in _OTHER_COLUMNS]
    expected = [_STUDY, *(f"{_STUDY}{number}" for number in range(2, len(channels) + 1))]
    if channels != expected[: len(channels)] or not channels or len(set(header)) != len(header):
        known = f"a header of study, then study2 and so on for further channels, and any of {', '.join(_OTHER_COLUMNS)}"
        raise _refused(manifest, known, ", ".join(header) or "none", "Correct the first line")
    for cells in reader:
        row = {name: (cell or "").strip() for name, cell in cells.items() if name is not None}
        if None in cells or not all(row[name] for name in channels):
            place = f"{manifest}, line {reader.line_num}"
            raise _refused(place, f"{len(header)} cells and a path a channel", "another line", "Correct the line")
        yield _row(manifest, folder, reader.line_num, row)


def _row(manifest: Path, folder: Path, number: int, cells: dict[str, str]) -> StudyRow:
    base = (manifest if manifest.is_dir() else manifest.parent).resolve()
    place = f"{manifest}, line {number}"
    studies = tuple(base / path for name, path in cells.items() if name.startswith(_STUDY))
    name = cells.get("id") or _stem(studies[0])
    if Path(name).name != name or name in (".", "..") or not name.isprintable():
        raise _refused(place, "an id that can be a file name", "another one", "Change it")
    output = base / cells["output"] if cells.get("output") else folder.resolve() / f"{name}_seg.nii.gz"
    check_result_name(output)
    try:
        priority = int(cells.get("priority") or 0)
    except ValueError as error:
        raise _refused(place, "a whole number as priority", repr(cells["priority"]), "Change it") from error
    return StudyRow(number=number, id=name, studies=studies, output=output, priority=priority)


def _refuse_twins(manifest: Path, rows: Sequence[StudyRow], what: str, value: Callable[[StudyRow], str]) -> None:
    numbers: dict[str, list[int]] = {}
    for row in rows:
        numbers.setdefault(value(row), []).append(row.number)
    twins = [" and ".join(map(str, same)) for same in numbers.values() if len(same) > 1]
    if twins:
        more = f" and {len(twins) - _SHOWN} more" if len(twins) > _SHOWN else ""
        found = f"one for rows {'; '.join(twins[:_SHOWN])}{more}"
        raise _refused(manifest, f"{what} that differ", found, "Give them in columns id and output of a CSV manifest")


def _keep_the_studies(manifest: Path, rows: Sequence[StudyRow]) -> None:
    sources = {path.resolve() for row in rows for path in row.studies}
    numbers = [str(row.number) for row in rows if row.output.resolve() in sources]
    if numbers:
        found = f"a study in rows {', '.join(numbers[:_SHOWN])}"
        raise _refused(manifest, "outputs that are no studies", found, "Choose other outputs")


def _refused(subject: object, expected: str, found: str, remedy: str) -> ConfigError:
    return ConfigError(subject, expected=expected, found=found, remedy=remedy)


def _stem(study: Path) -> str:
    name = study.name
    for suffix in (".gz", ".nii"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return name
