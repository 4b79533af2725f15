"""Coded terms of structures (PS3.3 C.8.20.4, PS3.16 CID 7150): the plan's, or terms of our own that say the name."""

from typing import Any, Final

from scnas_deploy.data.plan import Label
from scnas_deploy.results.library import highdicom

_LOCAL: Final = "99SCNAS"
_MAX_MEANING: Final = 64
_CATEGORY: Final = ("123037004", "SCT", "Anatomical Structure")


def category() -> Any:
    """Property category of every structure."""
    return _concept(*_CATEGORY)


def type_of(label: Label) -> Any:
    """Property type of a structure."""
    return _concept(*code_of(label))


def code_of(label: Label) -> tuple[str, str, str]:
    """Value, scheme and meaning of a structure's code."""
    if label.code is not None:
        return label.code.value, label.code.scheme, label.code.meaning
    return f"LABEL-{label.value}", _LOCAL, label.name[:_MAX_MEANING]


def _concept(value: str, scheme: str, meaning: str) -> Any:
    return highdicom().sr.CodedConcept(value, scheme, meaning)
