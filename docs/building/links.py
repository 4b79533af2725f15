"""Links of the documents, which are written for the repository, as the site needs them.

Documents that lie outside docs/ become pages of the site. Of other files that documents link to (settings, scripts)
the site has copies; a link to a folder becomes its text.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

INCLUDED: Final = {
    "readme.md": "README.md",
    "architecture.md": "ARCHITECTURE.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "deploy.md": "deploy/README.md",
    "hippocampus.md": "scnas_deploy/shipped/hippocampus.md",
}
"""Page of the site -> the repository's document."""

_PAGE_OF: Final = {path: uri for uri, path in INCLUDED.items()}
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def copy_of(path: str) -> str:
    """Where the site has a copy of a file of the repository."""
    return f"files/{path}"


def linked_files(root: Path, uris: Iterable[str]) -> list[str]:
    """Files of the repository outside docs/ that pages link to and that are no pages, sorted."""
    found = set()
    for uri in uris:
        source = _source(uri)
        if not (root / source).is_file():
            continue
        for _, target, _ in _LINK.findall(_FENCE.sub("", (root / source).read_text(encoding="utf-8"))):
            path = _beside(source, target)
            if not path.startswith("docs/") and path not in _PAGE_OF and (root / path).is_file():
                found.add(path)
    return sorted(found)


def redirected(markdown: str, uri: str, root: Path) -> str:
    """The same text with links that lead somewhere on the site."""
    source = _source(uri)

    def redirect(link: re.Match[str]) -> str:
        text, path, anchor = link[1], _beside(source, link[2]), link[3] or ""
        if path.startswith("docs/"):
            return f"[{text}]({_relative(path.removeprefix('docs/'), uri)}{anchor})"
        if path in _PAGE_OF:
            return f"[{text}]({_relative(_PAGE_OF[path], uri)}{anchor})"
        if (root / path).is_file():
            return f"[{text}]({_relative(copy_of(path), uri)})"
        return text if (root / path).is_dir() else link[0]

    parts = re.split(f"({_FENCE.pattern})", markdown, flags=_FENCE.flags)
    return "".join(part if part.startswith("```") else _LINK.sub(redirect, part) for part in parts)


def _source(uri: str) -> str:
    """The repository's document behind a page."""
    return INCLUDED.get(uri, f"docs/{uri}")


def _beside(source: str, target: str) -> str:
    """A link's target, from the repository's root."""
    return os.path.normpath(PurePosixPath(source).parent / target)


def _relative(target: str, uri: str) -> str:
    return os.path.relpath(target, PurePosixPath(uri).parent)
