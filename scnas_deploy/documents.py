"""Versioned JSON documents: what is written to disk and read back, with one-line errors."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from scnas_deploy.errors import FormatError


class Frozen(BaseModel):
    """A value written to disk: immutable, finite, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


Document = TypeVar("Document", bound=Frozen)


def to_json(document: Frozen) -> str:
    """Return the document's canonical JSON text."""
    return document.model_dump_json(indent=1, by_alias=True) + "\n"


def read_document(path: Path, kind: type[Document], *, made_by: str) -> Document:
    """Read a JSON file into its pydantic model.

    Args:
        path: The file.
        kind: A model with a ``schema`` version.
        made_by: The command that writes such a file, for the remedy.

    Raises:
        FormatError: If the file is missing or is not such a document.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise FormatError(
            path, expected=f"a {kind.__name__.lower()} file", found="no such file", remedy=f"Make one with {made_by}"
        ) from error
    except OSError as error:
        raise FormatError(
            path, expected="a readable file", found=str(error.strerror), remedy="Check the path and its permissions"
        ) from error
    return parse_document(path, text, kind, made_by=made_by)


def parse_document(subject: object, text: bytes, kind: type[Document], *, made_by: str) -> Document:
    """Parse JSON text into its pydantic model; see :func:`read_document`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            subject, expected="valid JSON", found=str(error), remedy=f"Make it again with {made_by}"
        ) from error
    _check_version(subject, content, kind, made_by)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise FormatError(
            f"{subject}, field '{place}'",
            expected=f"a valid {kind.__name__} ({error.error_count()} problem(s) in all)",
            found=first["msg"],
            remedy=f"Correct it or make it again with {made_by}",
        ) from error


def _check_version(subject: object, content: Any, kind: type[Frozen], made_by: str) -> None:
    known = kind.model_fields["schema_version"].default
    version = content.get("schema") if isinstance(content, dict) else None
    if version != known:
        raise FormatError(
            subject,
            expected=f"{kind.__name__} schema {known}",
            found=f"schema {version!r}",
            remedy=f"Use the version of scnas-deploy that wrote it, or make it again with {made_by}",
        )
