"""Measuring what the parts of a network take on an engine, for `scnas bench --ops`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scnas_deploy.data.plan import Plan
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.export.op_graphs import company, repeated
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.engines.select import open_engine
from scnas_deploy.inference.latency import latencies_ms, noise_patch
from scnas_deploy.machine import processor_name
from scnas_deploy.networks.builder import build
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.costs import (
    MOST_MERGED,
    NUM_LEVELS,
    SKELETON,
    CostEntry,
    Costs,
    Place,
    activation_place,
    cell_levels,
    grid_at,
    operation_place,
    projection_places,
    skeleton_place,
    sum_place,
)
from scnas_deploy.networks.genotype import Architecture, CellType, Operation, ScnasArchitecture
from scnas_deploy.types import PatchesBCXYZ

COPIES: Final = (1, 4)
"""A part's time is the difference between graphs with so many copies of it: what a call costs anyway cancels."""

Progress = Callable[[int, int, str], None]
"""Called with parts done, parts in all, and the latest figure in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measuring:
    """How to measure."""

    engine: str = "auto"
    """Name of the engine."""
    num_threads: int | None = None
    """Threads of one call; None lets the engine choose."""
    repeats: int = 11
    """Calls of each graph, of which the shortest counts."""

    def open(self, model: bytes) -> Engine:
        """Open the engine for an ONNX model."""
        return open_engine({"float32": model}, self.engine, num_threads=self.num_threads).engine


class Pace:
    """How fast the machine is at the moment, told by a network whose time is known: the chain without operations.

    What runs beside them, and the clock rate, change the speed of most machines by a fifth within minutes. Times that
    are compared with each other are therefore brought to one pace, that of the known time.

    Args:
        measuring: The engine.
        plan: Patch size, channels and classes.
        stem_channels: The chain's width.
        milliseconds: What it took; None measures it now.
    """

    def __init__(self, measuring: Measuring, plan: Plan, stem_channels: int, milliseconds: float | None = None) -> None:
        self._call = _network_call(measuring, ScnasArchitecture(cells=SKELETON, stem_channels=stem_channels), plan)
        self._known = milliseconds or latencies_ms([self._call], repeats=2 * measuring.repeats)[0]

    @classmethod
    def of(cls, costs: Costs, plan: Plan) -> "Pace":
        """The pace at which costs were measured."""
        stem = costs.stems[0]
        known = next(entry.milliseconds for entry in costs.entries if entry.place == skeleton_place(stem))
        return cls(Measuring(engine=costs.engine_name, num_threads=costs.num_threads), plan, stem, known)

    def latencies_ms(self, calls: Sequence[tuple[Engine, PatchesBCXYZ]], *, repeats: int) -> list[float]:
        """As :func:`~scnas_deploy.inference.latency.latencies_ms`, at that pace."""
        now, *others = latencies_ms([self._call, *calls], repeats=repeats)
        return [self._known * milliseconds / now for milliseconds in others]


def measure_costs(measuring: Measuring, plan: Plan, stems: Sequence[int], progress: Progress | None = None) -> Costs:
    """Measure every operation at every place of the chain, and the chain without them.

    Args:
        measuring: The engine, and how often it is called.
        plan: Patch size, channels and classes.
        stems: Stem widths, multiples of four.
        progress: Called after each part.

    Raises:
        ConfigError: If there is no engine of that name.
        MissingExtraError: If the engine or onnx is not installed.
        EngineError: If the engine cannot run a part.
    """
    milliseconds: dict[Place, float] = {}
    pace = Pace(measuring, plan, min(stems))
    todo = [place for stem in stems for place in places(stem)]
    for place in todo:
        milliseconds[place] = _measure(measuring, plan, place, milliseconds, pace)
        if progress is not None:
            progress(len(milliseconds), len(todo), f"{place.part} {milliseconds[place]:.3f} ms")
    engine = measuring.open(repeated(todo[0], plan.patch_size, 1))
    return Costs(
        engine=engine.name,
        device=engine.device,
        processor=processor_name(),
        num_threads=measuring.num_threads,
        patch_size=plan.patch_size,
        in_channels=len(plan.channels),
        num_classes=plan.num_classes,
        entries=tuple(_entry(place, taken, plan) for place, taken in milliseconds.items()),
    )


def measure_network(measuring: Measuring, architecture: Architecture, plan: Plan, pace: Pace) -> float:
    """Milliseconds that an architecture's exported network takes for one patch; its weights do not matter."""
    return pace.latencies_ms([_network_call(measuring, architecture, plan)], repeats=2 * measuring.repeats)[0]


def _network_call(measuring: Measuring, architecture: Architecture, plan: Plan) -> tuple[Engine, PatchesBCXYZ]:
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes}
    model = export_onnx(build(architecture, **shape), len(plan.channels), plan.patch_size)
    return measuring.open(model), noise_patch(len(plan.channels), plan.patch_size)


def places(stem_channels: int) -> list[Place]:
    """All parts of the chains that a stem's width allows, each once; the skeleton comes last."""
    strides = [(stride, level) for level in range(NUM_LEVELS) for stride in ((1, 2) if level else (1,))]
    activations = [activation_place(stride, level, stem_channels) for stride, level in strides]
    sums = [sum_place(place.level, place.node_channels) for place in activations]
    operations = [
        operation_place(operation, stride, level, stem_channels, merged)
        for stride, level in strides
        for operation in Operation
        if operation is not Operation.ZERO and (operation, stride) != (Operation.IDENTITY, 1)
        for merged in range(1, (MOST_MERGED if operation is Operation.CONV else 1) + 1)
    ]
    projections = [
        place
        for cell_type in CellType
        for level in cell_levels(cell_type)
        for place in projection_places(cell_type, level, stem_channels)
    ]
    return list(dict.fromkeys([*sums, *activations, *operations, *projections, skeleton_place(stem_channels)]))


def _measure(measuring: Measuring, plan: Plan, place: Place, known: Mapping[Place, float], pace: Pace) -> float:
    """Milliseconds of a part alone; what runs beside it is known and taken off."""
    if place.part == "skeleton":
        architecture = ScnasArchitecture(cells=SKELETON, stem_channels=place.in_channels)
        return measure_network(measuring, architecture, plan, pace)
    engines = [measuring.open(repeated(place, plan.patch_size, copies)) for copies in COPIES]
    patch = noise_patch(1, grid_at(plan.patch_size, place.from_level))
    few, many = pace.latencies_ms([(engine, patch) for engine in engines], repeats=measuring.repeats)
    copy = (many - few) / (COPIES[1] - COPIES[0])
    activations, num_sums = company(place)
    if place.part == "sum":
        return max(copy / num_sums, 0.0)
    of_sums = num_sums * known[sum_place(place.level, place.node_channels)]
    return max(copy - of_sums - sum(known[activation] for activation in activations), 0.0)


def _entry(place: Place, milliseconds: float, plan: Plan) -> CostEntry:
    gmacs = place.gmacs(plan.patch_size)
    if place.part == "skeleton":
        architecture = ScnasArchitecture(cells=SKELETON, stem_channels=place.in_channels)
        shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes}
        gmacs = count(architecture, **shape, patch_size=plan.patch_size).gmacs
    return CostEntry(
        place=place, milliseconds=round(milliseconds, 5), gmacs=gmacs, bytes=place.result_bytes(plan.patch_size)
    )
