"""What a request gets: its status, its content, and which headers go with it."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from scnas_deploy.pages import page

ROOM: Final = "scnas_deploy.serve.page"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of our pages: scripts come from files of ours alone."""
VIEWER_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "connect-src data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of a study in the viewer, which is one file with its scripts in it: nothing can be asked for, not even of us."""
_HTML: Final = "text/html; charset=utf-8"


def _nothing() -> None:
    """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One of them."""

    content: bytes
    status: HTTPStatus = HTTPStatus.OK
    kind: str = _HTML
    policy: str = POLICY
    headers: tuple[tuple[str, str], ...] = ()
    """Beside those that every answer has."""
    after: Callable[[], None] = _nothing
    """Called when it has been sent, or cannot be."""


def shown(template: str, **values: object) -> Answer:
    """Answer with a page made of a template."""
    return Answer(page.render(template, room=ROOM, **values).encode())


def said(status: HTTPStatus, heading: str, text: str, *headers: tuple[str, str]) -> Answer:
    """Answer in words alone.

    Args:
        status: Of the answer.
        heading: What it is about.
        text: A sentence or two; nothing that the request holds.
        headers: Beside those that every answer has.
    """
    content = page.render("said.html.j2", room=ROOM, heading=heading, text=text, here="", live=False)
    return Answer(content.encode(), status, headers=headers)
