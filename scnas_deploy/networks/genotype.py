"""genotype.json: the frozen value a search returns and every network is built from. Torch-free.

Cells as Kim et al. 2019 (arXiv 1906.05956, section 2) define them: a directed acyclic graph of two inputs
and four intermediate nodes, one operation an edge; node j sums its j + 2 incoming edges.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.files import sha256_of, write_text
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.types import Shape3

NUM_INPUTS = 2
NUM_NODES = 4
NUM_EDGES = sum(NUM_INPUTS + node for node in range(NUM_NODES))
"""14 edges a cell."""


class Operation(StrEnum):
    """The eight operations of an edge (PAPER: SCNAS, section 2)."""

    CONV = "conv_3x3x3"
    SEPARABLE_2 = "separable_conv_3x3x3_dilation_2"
    SEPARABLE_3 = "separable_conv_3x3x3_dilation_3"
    SEPARABLE_4 = "separable_conv_3x3x3_dilation_4"
    MAX_POOL = "max_pool_3x3x3"
    AVERAGE_POOL = "average_pool_3x3x3"
    IDENTITY = "identity"
    ZERO = "zero"


DILATIONS: Final = {Operation.SEPARABLE_2: 2, Operation.SEPARABLE_3: 3, Operation.SEPARABLE_4: 4}

PARAMETER_FREE: Final = frozenset({Operation.MAX_POOL, Operation.AVERAGE_POOL, Operation.IDENTITY})
"""Operations whose result depends on the source alone."""

ACTIVATED: Final = frozenset({Operation.CONV, *DILATIONS})
"""Operations that take the activated state."""


class CellType(StrEnum):
    """The four kinds of cell; cells of one kind share their structure at all levels, not their weights."""

    REDUCTION = "reduction"
    ENCODER = "encoder"
    EXPANSION = "expansion"
    DECODER = "decoder"


LAYOUT: tuple[CellType, ...] = (
    *(CellType.REDUCTION, CellType.ENCODER) * 3,
    *(CellType.EXPANSION, CellType.DECODER) * 3,
)
"""The chain of 12 cells; the third encoder cell is the paper's inter-cell."""

EDGES: tuple[tuple[int, int], ...] = tuple(
    (source, node) for node in range(NUM_NODES) for source in range(NUM_INPUTS + node)
)
"""(source state, target node) of each edge; states 0 and 1 are the cell's inputs, 2 + n is node n."""

CellGenotype = Annotated[tuple[Operation, ...], Field(min_length=NUM_EDGES, max_length=NUM_EDGES)]
"""One operation an edge, in the order of :data:`EDGES`."""


def is_connected(cell: tuple[Operation, ...]) -> bool:
    """Whether anything of a cell's inputs reaches its nodes: some edge from an input is not zero."""
    return any(
        operation is not Operation.ZERO
        for operation, (source, _) in zip(cell, EDGES, strict=True)
        if source < NUM_INPUTS
    )


class ScnasCells(Frozen):
    """The searched structure: one cell genotype a cell type."""

    reduction: CellGenotype
    encoder: CellGenotype
    expansion: CellGenotype
    decoder: CellGenotype

    @model_validator(mode="after")
    def _alive(self) -> Self:
        for cell_type in CellType:
            if not is_connected(self.of(cell_type)):
                raise ValueError(f"no edge of the {cell_type} cell carries its inputs, so that it would answer nothing")
        return self

    def of(self, cell_type: CellType) -> tuple[Operation, ...]:
        """Return the operations of a cell type."""
        operations: tuple[Operation, ...] = getattr(self, cell_type.value)
        return operations


class ScnasArchitecture(Frozen):
    """An SCNAS network: its cells and its width."""

    kind: Literal["scnas"] = "scnas"
    cells: ScnasCells
    stem_channels: Annotated[PositiveInt, Field(multiple_of=NUM_NODES)]
    """Width of the stem; a cell at level l is stem_channels * 2^l wide, its nodes a quarter of that."""

    @property
    def structure_hash(self) -> str:
        """SHA-256 of what the search found, the same at every width."""
        canonical = json.dumps([self.kind, self.cells.model_dump(mode="json")], sort_keys=True)
        return sha256_of(canonical.encode())

    def with_stem(self, stem_channels: int) -> "ScnasArchitecture":
        """Return the same structure at another width."""
        return ScnasArchitecture(cells=self.cells, stem_channels=stem_channels)


class UResNetArchitecture(Frozen):
    """3D U-ResNet, the paper's baseline: nothing in it is searched."""

    kind: Literal["u_resnet"] = "u_resnet"
    stem_channels: PositiveInt = 32
    """Channels at full resolution; each of the three levels below doubles them."""

    @property
    def structure_hash(self) -> str:
        """SHA-256 of the kind, the same at every width."""
        return sha256_of(self.kind.encode())

    def with_stem(self, stem_channels: int) -> "UResNetArchitecture":
        """Return the same structure at another width."""
        return UResNetArchitecture(stem_channels=stem_channels)


class PlainConvUNetArchitecture(Frozen):
    """nnU-Net's own network with four stages, as it plans for patches of 40 x 56 x 40."""

    kind: Literal["plain_conv_unet"] = "plain_conv_unet"
    stem_channels: PositiveInt = 32
    """Channels at full resolution; each of the three levels below doubles them."""

    @property
    def structure_hash(self) -> str:
        """SHA-256 of the kind, the same at every width."""
        return sha256_of(self.kind.encode())

    def with_stem(self, stem_channels: int) -> "PlainConvUNetArchitecture":
        """Return the same structure at another width."""
        return PlainConvUNetArchitecture(stem_channels=stem_channels)


Architecture = ScnasArchitecture | RonasmisArchitecture | UResNetArchitecture | PlainConvUNetArchitecture
"""The union of architectures, told apart by ``kind``."""


def own_patch_size(architecture: Architecture) -> Shape3 | None:
    """Return the patch size, voxels along X, Y, Z, that was searched with the network; None where the plan's holds."""
    return architecture.patch_size if isinstance(architecture, RonasmisArchitecture) else None


def whole_multiple(architecture: Architecture) -> int | None:
    """Of what the voxels of a whole volume must be a multiple along each axis; None for networks of patches."""
    return architecture.resolutions[-1] if isinstance(architecture, RonasmisArchitecture) else None


class Provenance(Frozen):
    """Where a genotype comes from."""

    made_by: str
    """'scnas search', or what else wrote the cells."""
    dataset_fingerprint: str | None = None
    seed: int | None = None
    settings: dict[str, str | int | float | bool | list[str] | list[float]] = Field(default_factory=dict)
    training_cases: int | None = None
    """Cases that the search has seen (weights and architecture parts together)."""
    fold: int | None = None
    """Fold whose validation cases the search has not seen."""
    search_seconds: float | None = None
    device: str | None = None
    peak_bytes: int | None = None
    """Highest memory of the search process (CPU: resident set; CUDA: allocated)."""
    final_entropy: float | None = None
    """Mean entropy of the architecture parameters in nats; ln(number of operations) is undecided."""
    warnings: tuple[str, ...] = ()
    """What the search's monitor found wrong at its end, a collapse for instance."""
    supernet_dice: float | None = None
    """Mean foreground Dice of the supernet, operations drawn at its last temperature, on patches of held-out cases."""
    derived_dice: float | None = None
    """The same of the found genotype with the supernet's weights, before any retraining."""
    report_patches: str | None = None
    """SHA-256 of these patches; they are looked at once the genotype stands and decide nothing."""


class BudgetRecord(Frozen):
    """The budget that a genotype was found for, and how it kept it, all for one patch."""

    kind: Literal["gmacs", "bytes", "ms"]
    """Multiply-accumulates in 10^9, peak bytes of the activations in inference, or milliseconds."""
    limit: PositiveFloat
    predicted: float
    """What the sum over its parts came to."""
    measured: float
    """What the whole network came to: counted, or timed on the engine."""
    engine: str | None = None
    """The engine and its version, for milliseconds."""


class Genotype(Frozen):
    """genotype.json, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    architecture: Annotated[Architecture, Field(discriminator="kind")]
    gmacs: float | None = None
    """Multiply-accumulates of one patch, in 10^9, at this width."""
    num_parameters: int | None = None
    provenance: Provenance
    budget: BudgetRecord | None = None
    """Where it was found for a budget; its width then belongs to what was found."""

    def save(self, path: Path) -> None:
        """Write genotype.json."""
        write_text(path, to_json(self))


def load_genotype(path: Path) -> Genotype:
    """Read genotype.json.

    Raises:
        FormatError: If it is missing, damaged, or of another schema version.
    """
    return read_document(path, Genotype, made_by="scnas search")
