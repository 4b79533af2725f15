"""What `scnas report` is asked for: a run, or a file of results, told apart by what is in it."""

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from scnas_deploy.errors import ConfigError, DataError, FormatError
from scnas_deploy.training.cross_validation import CROSS_VALIDATION
from scnas_deploy.training.runs import EVALUATION, RUN

RUN_PAGE: Final = "report.html"


class Kind(Enum):
    """What a source is."""

    RUN = "a run"
    EVALUATION = "an evaluation"
    CROSS_VALIDATION = "a cross-validation"
    BENCH = "a measurement of engines"


_FIELDS: Final = {
    Kind.EVALUATION: {"cases", "subject"},
    Kind.CROSS_VALIDATION: {"results", "failures"},
    Kind.BENCH: {"engines", "model_digest"},
}
"""By what a file is known."""

_EXPECTED: Final = "a run, an evaluation.json, a cross-validation.json or what scnas bench --json has printed"


@dataclass(frozen=True, slots=True)
class Source:
    """Where something lies, and what it is."""

    path: Path
    """A run's folder, else a file."""
    kind: Kind

    @property
    def page(self) -> Path:
        """Where its page goes, unless the user says: into a run's folder, else beside the file."""
        if self.kind is Kind.RUN:
            return self.path / RUN_PAGE
        return self.path.with_name(f"{self.path.stem}-report.html")


def find_source(name: str, project: Path) -> Source:
    """Find what is meant: a file or folder of that path, else a run of the project.

    Args:
        name: As the user gives it.
        project: The working folder.

    Raises:
        DataError: If there is neither.
        FormatError: If it holds nothing that a page can be made of.
    """
    named = Path(name)
    places = [named, *([project / "runs" / name] if named.name == str(named) else [])]
    path = next((place for place in places if (place / RUN).is_file()), None)  # a run's name beside a folder's
    path = path or next((place for place in places if place.exists()), None)
    if path is None:
        runs = sorted(record.parent.name for record in (project / "runs").glob(f"*/{RUN}"))
        found = f"none; runs here: {', '.join(runs) or 'none'}"
        raise DataError(name, expected=_EXPECTED, found=found, remedy="Name one of these, or a file")
    return _source_in(path) if path.is_dir() else Source(path, _kind_of(path))


def evaluation_of(source: Source) -> Path:
    """The evaluation.json to compare with another; a run's own counts too.

    Raises:
        ConfigError: If the source has none.
    """
    path = source.path / EVALUATION if source.kind is Kind.RUN else source.path
    if source.kind in (Kind.RUN, Kind.EVALUATION) and path.is_file():
        return path
    raise ConfigError(
        source.path,
        expected="an evaluation: two sources are compared",
        found=f"{source.kind.value} without one" if source.kind is Kind.RUN else source.kind.value,
        remedy="Evaluate it with scnas evaluate, or name one source",
    )


def _source_in(folder: Path) -> Source:
    if (folder / RUN).is_file():
        return Source(folder, Kind.RUN)
    for name in (EVALUATION, CROSS_VALIDATION):
        if (folder / name).is_file():
            return Source(folder / name, _kind_of(folder / name))
    remedy = "Name a folder with one of these"
    raise FormatError(folder, expected=_EXPECTED, found="a folder with none of these", remedy=remedy)


def _kind_of(path: Path) -> Kind:
    fields = set(_content_of(path))
    for kind, needed in _FIELDS.items():
        if needed <= fields:
            return kind
    remedy = "Name a file that scnas evaluate, cross-validate or bench has made"
    raise FormatError(path, expected=_EXPECTED, found="a file of something else", remedy=remedy)


def _content_of(path: Path) -> dict[str, Any]:
    from scnas_deploy.files import reading

    with reading(path):
        text = path.read_bytes()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            path, expected=_EXPECTED, found="a file that is no JSON", remedy="Name a file of JSON, or a run"
        ) from error
    return content if isinstance(content, dict) else {}
