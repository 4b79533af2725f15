"""Graphviz: making a graph and turning it into SVG."""

from typing import TYPE_CHECKING, Any, Final

from scnas_deploy.errors import ConfigError
from scnas_deploy.extras import require

if TYPE_CHECKING:
    import graphviz

FONT: Final = {"fontname": "sans-serif", "fontsize": "11"}


def new_graph(**attributes: str) -> "graphviz.Digraph":
    """Make an empty graph that runs from left to right.

    Raises:
        MissingExtraError: If the graphviz package is not installed.
    """
    library: Any = require("graphviz", extra="train", purpose="drawing networks")
    graph: graphviz.Digraph = library.Digraph(
        graph_attr={"rankdir": "LR", "fontname": "sans-serif", "nodesep": "0.25", "ranksep": "0.6", **attributes}
    )
    return graph


def to_svg(graph: "graphviz.Digraph") -> str:
    """Lay a graph out.

    Raises:
        ConfigError: If Graphviz' program ``dot`` is not installed.
    """
    library: Any = require("graphviz", extra="train", purpose="drawing networks")
    try:
        svg: str = graph.pipe(format="svg", encoding="utf-8")
    except library.ExecutableNotFound as error:
        raise ConfigError(
            "scnas draw",
            expected="the program dot",
            found="none on the PATH",
            remedy="Install Graphviz, on Debian with `apt-get install graphviz`",
        ) from error
    return svg
