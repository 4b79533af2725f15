"""The cells of a genotype as graphs, in the form of Kim et al. 2019 (arXiv 1906.05956), figure 2."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from scnas_deploy.drawing.graph import FONT, new_graph, to_svg
from scnas_deploy.networks.genotype import (
    EDGES,
    NUM_INPUTS,
    NUM_NODES,
    CellType,
    Operation,
    ScnasArchitecture,
)

if TYPE_CHECKING:
    import graphviz

COLORS: Final = {
    Operation.CONV: "#1b5e20",
    Operation.SEPARABLE_2: "#0d47a1",
    Operation.SEPARABLE_3: "#1976d2",
    Operation.SEPARABLE_4: "#4fc3f7",
    Operation.MAX_POOL: "#b71c1c",
    Operation.AVERAGE_POOL: "#ef6c00",
    Operation.IDENTITY: "#616161",
}
"""Green convolves, blue convolves depthwise, red and orange pool, grey hands on."""

NAMES: Final = {
    Operation.CONV: "conv 3",
    Operation.SEPARABLE_2: "sep 3, dil 2",
    Operation.SEPARABLE_3: "sep 3, dil 3",
    Operation.SEPARABLE_4: "sep 3, dil 4",
    Operation.MAX_POOL: "max pool",
    Operation.AVERAGE_POOL: "avg pool",
    Operation.IDENTITY: "identity",
}


def draw_cells(architecture: ScnasArchitecture) -> str:
    """Draw the four cells, one below the other; edges that are zero are left out.

    Returns:
        An SVG picture.

    Raises:
        ConfigError: If Graphviz' program ``dot`` is not installed.
        MissingExtraError: If the graphviz package is not installed.
    """
    graph = new_graph()
    for cell_type in reversed(CellType):  # dot draws the last one on top
        with graph.subgraph(name=f"cluster_{cell_type}") as cluster:
            cluster.attr(label=f"{cell_type} cell", labeljust="l", color="#bbbbbb", fontname="sans-serif")
            _draw_cell(cluster, cell_type, architecture.cells.of(cell_type))
    return to_svg(graph)


def _draw_cell(graph: "graphviz.Digraph", cell_type: CellType, cell: tuple[Operation, ...]) -> None:
    state = [f"{cell_type}_{index}" for index in range(NUM_INPUTS + NUM_NODES)]
    for index, name in enumerate(("cell k-2", "cell k-1")):
        graph.node(state[index], name, shape="box", style="filled", fillcolor="#fff3c4", **FONT)
    for node in range(NUM_NODES):
        graph.node(state[NUM_INPUTS + node], str(node), shape="circle", style="filled", fillcolor="#dcebff", **FONT)
    graph.node(f"{cell_type}_out", "concatenate", shape="box", style="filled", fillcolor="#e6e6e6", **FONT)
    for source, node, operation in living_edges(cell):
        attributes = {"color": COLORS[operation], "fontcolor": COLORS[operation], **FONT}
        graph.edge(state[source], state[NUM_INPUTS + node], label=NAMES[operation], **attributes)
    for node in range(NUM_NODES):
        graph.edge(state[NUM_INPUTS + node], f"{cell_type}_out", color="#bbbbbb", arrowhead="none")


def living_edges(cell: tuple[Operation, ...]) -> Iterator[tuple[int, int, Operation]]:
    """Yield (source state, node, operation) of each edge that is not zero."""
    for (source, node), operation in zip(EDGES, cell, strict=True):
        if operation is not Operation.ZERO:
            yield source, node, operation
