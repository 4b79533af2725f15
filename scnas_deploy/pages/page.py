"""Making a page: Jinja templates, with style, scripts and data inside the file, so that it opens without a network."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_ROOM: Final = "scnas_deploy.pages"
CHART_SCRIPTS: Final = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js", "charts.js")
"""What a page with charts names in its ``scripts``, in this order."""


def render(template: str, *, room: str = _ROOM, **values: Any) -> str:
    """Fill in a template; what it is given is text, and escaped.

    Args:
        template: File name in ``templates`` of the room, or of this one: ``base.html.j2`` is there to be extended.
        room: Package with the templates.
        values: What the template names; all of it must be given.
    """
    return _environment(room).get_template(template).render(**values)


def asset(name: str) -> str:
    """Return the text of a script or style of this room's ``assets``."""
    return files(_ROOM).joinpath("assets", name).read_text(encoding="utf-8")


def embedded_json(value: Any) -> Markup:
    """JSON that may stand in a ``<script type="application/json">``: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(letter, escaped)
    return Markup(text)  # noqa: S704  # escaped just now


@cache
def _environment(room: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader(_ROOM)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = lambda name: Markup(asset(name))  # noqa: S704  # our own files
    environment.filters["embedded_json"] = embedded_json
    return environment
