"""What MkDocs calls while it builds the site: pages made from the code, and files from beside docs/."""

from pathlib import Path
from typing import Final

import command_line
import error_table
import file_formats
import links
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

GENERATED: Final = {
    "reference/command-line.md": command_line.page,
    "reference/errors.md": error_table.page,
    **file_formats.PAGES,
}
"""Page -> what writes it."""


def on_files(files: Files, /, *, config: MkDocsConfig) -> Files:
    """Add what is generated, documents that lie outside docs/, and the files that documents link to."""
    root = _root(config)
    for uri, write in GENERATED.items():
        files.append(File.generated(config, uri, content=write()))
    for uri, path in links.INCLUDED.items():
        files.append(File.generated(config, uri, content=(root / path).read_text(encoding="utf-8")))
    for path in links.linked_files(root, [file.src_uri for file in files.documentation_pages()]):
        files.append(File.generated(config, links.copy_of(path), content=(root / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, /, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Have links to the repository's other files lead to their copies."""
    if page.file.src_uri in GENERATED:
        return markdown
    return links.redirected(markdown, page.file.src_uri, _root(config))


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent
