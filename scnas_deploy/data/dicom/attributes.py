"""Values of a data set, as the standard has them or not at all."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

from scnas_deploy.data.dicom.headers import UnreadableError


def text(dataset: Any, keyword: str) -> str:
    """A value as text, several joined by a backslash; empty where it is missing."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    return str(value) if isinstance(value, str | int | float) or not _is_many(value) else "\\".join(map(str, value))


def words(dataset: Any, keyword: str) -> tuple[str, ...]:
    """The values of a code string."""
    return tuple(word.strip() for word in text(dataset, keyword).split("\\") if word.strip())


def number(dataset: Any, keyword: str, default: float) -> float:
    """One finite number; the default where it is missing."""
    found = numbers(dataset, keyword, 1)
    return default if found is None else found[0]


def numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, or None where the attribute is missing or empty.

    Raises:
        UnreadableError: If there is something else.
    """
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    try:
        found = tuple(float(each) for each in (value if _is_many(value) else (value,)))
    except (TypeError, ValueError) as error:
        raise UnreadableError(f"its {keyword} is no number") from error
    if not found:
        return None
    if len(found) != count or not all(map(isfinite, found)):
        raise UnreadableError(f"its {keyword} should be {count} finite number(s)")
    return found


def whole(dataset: Any, keyword: str, default: int) -> int:
    """One whole number; the default where it is missing.

    Raises:
        UnreadableError: If there is something else.
    """
    found = number(dataset, keyword, float(default))
    if found != int(found):
        raise UnreadableError(f"its {keyword} is no whole number")
    return int(found)


def items(dataset: Any, keyword: str) -> tuple[Any, ...]:
    """The items of a sequence; none where it is missing."""
    value = dataset.get(keyword)
    if value is None:
        return ()
    if not _is_many(value):
        raise UnreadableError(f"its {keyword} is no sequence")
    return tuple(value)


def first_item(datasets: Iterable[Any], keyword: str) -> Any | None:
    """The first item of a sequence in the first of the data sets that has it."""
    for dataset in datasets:
        for item in items(dataset, keyword):
            return item
    return None


def _is_many(value: Any) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__iter__")
