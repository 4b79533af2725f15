"""The reference of files, made from the pydantic models that read and write them."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Final, get_args

from file_chapters import CHAPTERS, Chapter, Kind
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from type_words import kind, value
from typing_extensions import TypeAliasType


def overview() -> str:
    """Write the page that lists the formats."""
    rows = [f"| [{each.title}]({name}.md) | {_first_sentence(each.about)} |" for name, each in CHAPTERS.items()]
    head = (
        "# Files\n\nAll of them can be read without this package: JSON, TOML, zip. A field that a format does not have"
        " is an error, and so is a number that is not finite. Each is written whole or not at all.\n"
    )
    return "\n".join([head, "| File | What it is |", "| --- | --- |", *rows, ""])


def write(chapter: Chapter) -> str:
    """Write a page: a table for each model, in the order in which they are met."""
    parts = [f"# {chapter.title}", "", chapter.about, ""]
    seen: set[Kind] = set()
    for heading, root in chapter.kinds.items():
        models = [each for each in _reached(root) if each not in seen]
        seen.update(models)
        parts += [f"## {heading}", "", *_table(root)]
        for model in models:
            if model is not root:
                parts += [f"### {model.__name__}", "", *_table(model)]
    return "\n".join(parts)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/files.md": overview,
    **{f"reference/{name}.md": partial(write, chapter) for name, chapter in CHAPTERS.items()},
}
"""Page -> what writes it."""


def _reached(root: Kind) -> list[Kind]:
    """The model and all those that its fields hold, each once."""
    found: dict[Kind, None] = {root: None}
    for field in root.model_fields.values():
        for model in _models_in(field.annotation):
            if model is not root:
                found.update(dict.fromkeys(_reached(model)))
    return list(found)


def _models_in(annotation: Any) -> Iterator[Kind]:
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models_in(each)


def _table(model: Kind) -> list[str]:
    explained = _field_docstrings(model)
    rows = [
        _row(field.alias or name, kind(field.annotation, field), _default(field), explained.get(name, ""))
        for name, field in model.model_fields.items()
    ]
    about = _cell(inspect.cleandoc(model.__doc__ or "").split("\n\n", 1)[0])
    return [about, "", "| Field | Kind | Default | Meaning |", "| --- | --- | --- | --- |", *rows, ""]


def _row(name: str, *cells: str) -> str:
    return f"| `{name}` | {' | '.join(cells)} |"


def _field_docstrings(model: Kind) -> dict[str, str]:
    """Field -> the string below it."""
    body = _class_of(model).body
    return {
        field.target.id: _cell(inspect.cleandoc(text.value.value))
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _class_of(model: Kind) -> ast.ClassDef:
    parsed = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(parsed, ast.ClassDef)
    return parsed


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    told = field.get_default(call_default_factory=True)
    return "see below" if isinstance(told, BaseModel) else value(told)


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].split("\n\n")[0].split(":\n")[0].rstrip(".").replace("\n", " ") + "."


def _cell(text: str) -> str:
    """Text of a docstring as a table's cell: code as Markdown has it."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")
