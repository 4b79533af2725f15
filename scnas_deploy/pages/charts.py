"""Charts of pages: Vega-Lite specifications with what a person sees around them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure of a page, drawn by ``charts.js`` from its own data.

    A template shows it with the macro ``chart`` of ``chart.html.j2``.
    """

    name: str
    """Unique on its page; letters, digits and hyphens."""
    title: str
    spec: dict[str, Any]
    """Vega-Lite 6, its values inside; without title, ``$schema``, width and configuration."""
    description: str
    """What a reader who does not see it is told: what is drawn, and what it shows."""
    note: str = ""
    """How to read it, below its title."""
