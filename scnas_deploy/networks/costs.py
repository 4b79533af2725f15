"""costs.json: what the parts of a network take on an engine, measured. Torch-free.

A part has its place: the level it reads, the level it writes, and the width of the nodes it writes. Stride two
reads one level finer than it writes.
"""

from math import prod
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.errors import FormatError
from scnas_deploy.files import write_text
from scnas_deploy.networks.genotype import DILATIONS, EDGES, LAYOUT, NUM_NODES, CellType, Operation, ScnasCells
from scnas_deploy.types import Shape3

NUM_LEVELS: Final = 4
MOST_MERGED: Final = NUM_NODES
"""Dense convolutions that can leave one state, at most: a cell's input feeds every node."""

Part = Operation | Literal["activation", "sum", "projection", "skeleton"]
"""An operation alone; the LeakyReLU of a state; one of a node's additions; the projection of a cell's input; and a
whole network of which every node is the identity of one input: what remains when no edge computes anything."""


SKELETON: Final = ScnasCells(
    **{
        cell_type.value: tuple(Operation.IDENTITY if source == node % 2 else Operation.ZERO for source, node in EDGES)
        for cell_type in CellType
    }
)
"""Cells of which every node is the identity of one input."""


class Place(Frozen):
    """A part where it stands in a chain."""

    part: Part
    from_level: NonNegativeInt
    """Level that is read: 0 is full resolution, each level halves it."""
    level: NonNegativeInt
    """Level that is written."""
    in_channels: PositiveInt
    """Width of what is read; for the skeleton, that of the stem."""
    node_channels: PositiveInt
    """Width of a node; for the skeleton, that of level 0."""
    count: PositiveInt = 1
    """Dense convolutions merged into one: it writes so many times the nodes' width."""

    def gmacs(self, patch_size: Shape3) -> float:
        """Multiply-accumulates in 10^9 of an operation or projection, which convolves on the coarser grid."""
        channels, per_voxel = self.node_channels, 0
        if self.part is Operation.CONV:
            per_voxel = 27 * channels * channels * self.count
        elif self.part in DILATIONS:
            per_voxel = 27 * channels + channels * channels
        elif self.part == "projection":
            per_voxel = 8 ** max(self.level - self.from_level, 0) * self.in_channels * channels
        return per_voxel * prod(grid_at(patch_size, max(self.level, self.from_level))) / 1e9

    def result_bytes(self, patch_size: Shape3) -> int:
        """Bytes of what is written, in float32."""
        return 4 * self.node_channels * self.count * prod(grid_at(patch_size, self.level))


class CostEntry(Frozen):
    """What one part takes for one patch."""

    place: Place
    milliseconds: NonNegativeFloat
    gmacs: NonNegativeFloat
    """Multiply-accumulates in 10^9."""
    bytes: NonNegativeInt
    """Bytes of the result in float32."""


class Costs(Frozen):
    """costs.json, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    engine: str
    """Name and version, for instance 'openvino 2026.4.1'."""
    device: str
    """For instance 'CPU'."""
    processor: str
    num_threads: PositiveInt | None
    """Threads of one call; null where the engine chose."""
    patch_size: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Voxels along X, Y, Z."""
    in_channels: PositiveInt
    num_classes: PositiveInt
    """Background included."""
    entries: tuple[CostEntry, ...]

    @property
    def engine_name(self) -> str:
        """The engine's name as `--engine` takes it."""
        return self.engine.split()[0]

    @property
    def stems(self) -> tuple[int, ...]:
        """Stem widths that were measured, narrowest first."""
        return tuple(sorted(e.place.in_channels for e in self.entries if e.place.part == "skeleton"))

    def save(self, path: Path) -> None:
        """Write costs.json."""
        write_text(path, to_json(self))


def load_costs(path: Path) -> Costs:
    """Read costs.json.

    Raises:
        FormatError: If it is missing, damaged, incomplete, or of another schema version.
    """
    costs = read_document(path, Costs, made_by="scnas bench --ops")
    if not costs.stems:
        raise FormatError(path, expected="measured costs", found="none", remedy="Make them with scnas bench --ops")
    return costs


def cell_levels(cell_type: CellType) -> tuple[int, ...]:
    """Levels at which the chain has a cell of this type."""
    levels, level = [], 0
    for each in LAYOUT:
        level += {CellType.REDUCTION: 1, CellType.EXPANSION: -1}.get(each, 0)
        if each is cell_type:
            levels.append(level)
    return tuple(levels)


def grid_at(patch_size: Shape3, level: int) -> Shape3:
    """Voxels along X, Y, Z at a level."""
    x, y, z = (size // 2**level for size in patch_size)
    return x, y, z


def node_channels(stem_channels: int, level: int) -> int:
    """Width of a node at a level."""
    return (stem_channels << level) // NUM_NODES


def input_levels(cell_type: CellType, level: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(level read, level written) by the projections of a cell's older and newer input."""
    if cell_type is CellType.REDUCTION:
        return (level - 1, level - 1), (level - 1, level - 1)
    if cell_type is CellType.ENCODER:
        return (level - 1, level), (level, level)
    if cell_type is CellType.EXPANSION:
        return (level + 1, level), (level + 1, level)
    return (level + 1, level), (level, level)


def operation_place(operation: Operation, stride: int, level: int, stem_channels: int, count: int = 1) -> Place:
    """An operation that writes a level."""
    channels = node_channels(stem_channels, level)
    return Place(
        part=operation,
        from_level=level if stride == 1 else level - 1,
        level=level,
        in_channels=channels,
        node_channels=channels,
        count=count,
    )


def activation_place(stride: int, level: int, stem_channels: int) -> Place:
    """The LeakyReLU of a state that edges of a stride leave, in a cell of a level."""
    return _on_one_grid("activation", level if stride == 1 else level - 1, node_channels(stem_channels, level))


def sum_place(level: int, channels: int) -> Place:
    """An addition of nodes of some width on the grid of a level."""
    return _on_one_grid("sum", level, channels)


def _on_one_grid(part: Part, level: int, channels: int) -> Place:
    return Place(part=part, from_level=level, level=level, in_channels=channels, node_channels=channels)


def projection_places(cell_type: CellType, level: int, stem_channels: int) -> tuple[Place, ...]:
    """The projections of a cell's older and newer input."""
    return tuple(
        Place(
            part="projection",
            from_level=source,
            level=target,
            in_channels=stem_channels * 2**source,
            node_channels=node_channels(stem_channels, level),
        )
        for source, target in input_levels(cell_type, level)
    )


def skeleton_place(stem_channels: int) -> Place:
    """The chain of :data:`SKELETON` cells."""
    return Place(
        part="skeleton",
        from_level=0,
        level=0,
        in_channels=stem_channels,
        node_channels=node_channels(stem_channels, 0),
    )
