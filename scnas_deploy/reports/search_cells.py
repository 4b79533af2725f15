"""The cells of a search: what each edge prefers over time, what was chosen, and how it looks."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from scnas_deploy.drawing.cells import NAMES, living_edges
from scnas_deploy.drawing.genotype import draw_genotype
from scnas_deploy.errors import ConfigError, MissingExtraError
from scnas_deploy.networks.genotype import (
    EDGES,
    NUM_INPUTS,
    CellType,
    Genotype,
    Operation,
    ScnasArchitecture,
    ScnasCells,
)
from scnas_deploy.networks.ronasmis_settings import SKIPS, RonasmisArchitecture
from scnas_deploy.reports.training_run import RunProgress

_INPUT_NAMES: Final = ("cell k-2", "cell k-1")
_WHOLE: Final = 10_000
"""Probabilities are embedded as whole ten-thousandths."""

EDGE_NAMES: Final = tuple(
    f"{_INPUT_NAMES[source] if source < NUM_INPUTS else f'node {source - NUM_INPUTS}'} → node {node}"
    for source, node in EDGES
)

SHORT_EDGE_NAMES: Final = tuple(name.replace("cell ", "").replace("node ", "") for name in EDGE_NAMES)


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """Softmax of alpha by cell type, edge and operation, over the epochs that have recorded it."""

    operations: tuple[str, ...]
    epochs: tuple[int, ...]
    """Counted from one."""
    frames: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
    """Epoch, cell type, edge, operation -> ten-thousandths."""

    @property
    def embedded(self) -> dict[str, Any]:
        """For the script that turns the pages."""
        return {"epochs": self.epochs, "frames": self.frames, "whole": _WHOLE}


def heat_maps(progress: RunProgress, operations: Sequence[Operation]) -> HeatMaps | None:
    """Collect what each edge prefers; None of a search that has not recorded it."""
    known = [epoch for epoch in progress.epochs if epoch.get("edge_probability")]
    if not known:
        return None
    return HeatMaps(
        tuple(operation_name(operation) for operation in operations),
        tuple(epoch["epoch"] + 1 for epoch in known),
        tuple(_frame(epoch["edge_probability"]) for epoch in known),
    )


def _frame(edges: dict[str, list[list[float]]]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return tuple(
        tuple(tuple(round(_WHOLE * p) for p in edge) for edge in edges[cell_type.value]) for cell_type in CellType
    )


def operation_name(operation: Operation) -> str:
    """The short name of a drawing."""
    return NAMES.get(operation, operation.value)


def chosen_counts(cells: ScnasCells) -> dict[str, list[int]]:
    """Edges of each cell type, and of all, that have each operation, by the operation's name."""
    counts = {op: [cells.of(cell_type).count(op) for cell_type in CellType] for op in Operation}
    return {operation_name(op): [*row, sum(row)] for op, row in counts.items() if any(row)}


def edge_lists(cells: ScnasCells) -> dict[str, list[tuple[str, str]]]:
    """Edges that are not zero with their operations, by cell type: the drawing in words."""
    names = dict(zip(EDGES, EDGE_NAMES, strict=True))
    return {
        cell_type.value: [
            (names[source, node], operation_name(op)) for source, node, op in living_edges(cells.of(cell_type))
        ]
        for cell_type in CellType
    }


def stage_list(architecture: RonasmisArchitecture) -> list[tuple[str, str]]:
    """Choices of a U-Net in words."""
    skips = [
        f"{encoder + 1} to {decoder + 1}"
        for (encoder, decoder), on in zip(SKIPS, architecture.skips, strict=True)
        if on
    ]
    dropped = [str(stage) for stage, is_dropped in enumerate(architecture.dropped, 1) if is_dropped]
    return [
        ("Patch, voxels", " x ".join(map(str, architecture.patch_size))),
        ("Pooling before stages 2, 3, 4", ", ".join(map(str, architecture.strides))),
        ("Dilation of stages 2, 3, 4", ", ".join(map(str, architecture.dilations))),
        ("Activation", architecture.activation.value.replace("_", " ")),
        ("Skips, encoder to decoder stage", ", ".join(skips) or "none"),
        ("Stages without their second convolution", ", ".join(dropped) or "none"),
        ("Channels at full resolution", str(architecture.stem_channels)),
    ]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, or why there is none."""

    address: str | None
    """``data:`` address of an SVG picture; in an ``img`` nothing in it can run."""
    missing: str = ""


def drawing_of(genotype: Genotype) -> Drawing:
    """Draw what was found, where this machine can."""
    try:
        svg = draw_genotype(genotype)
    except (ConfigError, MissingExtraError) as error:
        return Drawing(None, f"Not drawn here: {error.expected} is missing. {error.remedy}.")
    return Drawing(f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}")


def described(architecture: ScnasArchitecture | RonasmisArchitecture) -> str:
    """What a drawing shows, for a reader who does not see it."""
    if isinstance(architecture, RonasmisArchitecture):
        return "Stages of the U-Net that was found, with its skip connections; the table below lists its choices."
    return "Graphs of the four cells that were found; the tables below list their edges and operations."
