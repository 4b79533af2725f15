"""The stages of a RONASMIS network as a graph: encoder above, decoder below, skips between."""

from typing import TYPE_CHECKING, Final

from scnas_deploy.drawing.graph import FONT, new_graph, to_svg
from scnas_deploy.networks.ronasmis_settings import NUM_STAGES, SKIPS, RonasmisArchitecture

if TYPE_CHECKING:
    import graphviz

_DROPPED: Final = "#eeeeee"
_WHOLE: Final = "#dcebff"
_DECODER: Final = "#fff3c4"


def draw_u_net(architecture: RonasmisArchitecture) -> str:
    """Draw what was found: resolution, dilation and path of each stage, and the skips that exist.

    Returns:
        An SVG picture.

    Raises:
        ConfigError: If Graphviz' program ``dot`` is not installed.
        MissingExtraError: If the graphviz package is not installed.
    """
    x, y, z = architecture.patch_size
    title = f"patch {x} x {y} x {z} voxels, activation {architecture.activation}"
    graph = new_graph(label=title, labelloc="t")
    _draw_encoder(graph, architecture)
    _draw_decoder(graph, architecture)
    for (encoder, decoder), exists in zip(SKIPS, architecture.skips, strict=True):
        if exists:
            graph.edge(f"e{encoder}", f"d{decoder}", color="#1976d2", constraint="false")
    return to_svg(graph)


def _draw_encoder(graph: "graphviz.Digraph", architecture: RonasmisArchitecture) -> None:
    dilations = (1, *architecture.dilations)
    for stage in range(NUM_STAGES):
        dropped = architecture.dropped[stage]
        convolutions = "1 conv" if dropped else "2 convs"
        text = f"stage {stage + 1}, 1/{architecture.resolutions[stage]}\n{convolutions}, dilation {dilations[stage]}"
        color = _DROPPED if dropped else _WHOLE
        graph.node(f"e{stage}", text, shape="box", style="filled", fillcolor=color, **FONT)
    for stage, stride in enumerate(architecture.strides):
        graph.edge(f"e{stage}", f"e{stage + 1}", label="max pool" if stride == 2 else "", **FONT)


def _draw_decoder(graph: "graphviz.Digraph", architecture: RonasmisArchitecture) -> None:
    """Each decoder stage stands below its encoder stage, so that its edges run from right to left."""
    for stage in range(NUM_STAGES - 1):
        text = f"decoder {stage + 1}, 1/{architecture.resolutions[stage]}"
        graph.node(f"d{stage}", text, shape="box", style="filled", fillcolor=_DECODER, **FONT)
        with graph.subgraph() as column:
            column.attr(rank="same")
            column.node(f"e{stage}")
            column.node(f"d{stage}")
    graph.node("answer", "labels", shape="plaintext", **FONT)
    below = [f"d{stage}" for stage in range(NUM_STAGES - 1)] + [f"e{NUM_STAGES - 1}"]
    for stage, stride in enumerate(architecture.strides):
        label = "upsample" if stride == 2 else ""
        graph.edge(below[stage], below[stage + 1], label=label, dir="back", **FONT)
    graph.edge("answer", "d0", dir="back")
