"""Types and values of pydantic's fields in words."""

from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

_TIMES: Final = "\N{MULTIPLICATION SIGN}"


def kind(annotation: Any, field: FieldInfo | None = None) -> str:
    """Say a type, with what pydantic checks of the field beside it; a model is a link to its chapter."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, TypeAliasType):
        words = kind(annotation.__value__)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        words = f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    elif origin is Literal:
        words = " or ".join(value(each) for each in inner)
    elif origin in (Union, UnionType):
        words = " or ".join(dict.fromkeys(kind(each) for each in inner if each is not NoneType))
    elif origin is tuple:
        words = _tuple(inner)
    elif origin in (list, dict):
        words = f"list of {kind(inner[0])}" if origin is list else f"table: {kind(inner[0])} to {kind(inner[1])}"
    elif origin is not None and hasattr(annotation, "__metadata__"):
        words = " ".join([kind(inner[0]), *_bounds(annotation.__metadata__)])
    else:
        words = _plain(annotation)
    return " ".join([words, *_bounds(field.metadata)]) if field is not None else words


def _tuple(inner: tuple[Any, ...]) -> str:
    if inner[-1] is Ellipsis:
        return f"list of {kind(inner[0])}"
    kinds = [kind(each) for each in inner]
    return f"{len(kinds)} {_TIMES} {kinds[0]}" if len(set(kinds)) == 1 else f"[{', '.join(kinds)}]"


_WORDS: Final = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    Any: "anything",
}


def _plain(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(value(each.value) for each in annotation)
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(metadata: Any) -> list[str]:
    """What pydantic checks beside the type, in words."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    return [
        f"{sign} {limit}"
        for each in metadata
        for name, sign in signs.items()
        if (limit := getattr(each, name, None)) is not None
    ]


def value(told: Any) -> str:
    """Say a value as a file has it."""
    if told is None:
        return "none"
    if isinstance(told, tuple | list):
        return f"`[{', '.join(_bare(each) for each in told)}]`"
    return f"`{_bare(told)}`"


def _bare(told: Any) -> str:
    if isinstance(told, bool):
        return str(told).lower()
    return f'"{told}"' if isinstance(told, str) else str(told)
