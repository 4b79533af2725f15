"""The nodes of a profile summed by what they do, beside what they multiply and accumulate."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median

from benchmarks.node_times import Node, Profile
from benchmarks.onnx_layers import CONVOLUTIONS, Kind, Layer
from scnas_deploy.types import Shape3

_KINDS_OF_TYPES = {"MVN": Kind.NORM, "Reorder": Kind.COPY}
"""Nodes that OpenVINO makes up, with names of its own."""

Width = tuple[int, int, Shape3]
"""Channels read, channels written, voxels written."""


@dataclass(slots=True)
class Part:
    """What nodes of one sort take together, for one patch."""

    nodes: int = 0
    seconds: float = 0.0
    gmacs: float = 0.0

    def add(self, seconds: float, gmacs: float) -> None:
        self.nodes += 1
        self.seconds += seconds
        self.gmacs += gmacs

    @property
    def rate(self) -> float:
        """GMAC/s."""
        return self.gmacs / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One round of an engine."""

    kinds: Mapping[Kind, Part]
    dense: Mapping[Width, Part]
    """The dense convolutions alone, by their width and grid."""
    seconds: float
    """From call to answer."""
    peak: float
    """GMAC/s of the matrix product in the same round."""


def summarise(profile: Profile, layers: Mapping[str, Layer], peak: float) -> Summary:
    """Sum a profile up.

    Raises:
        AssertionError: If some convolution was not measured, or twice.
    """
    kinds, dense = defaultdict(Part), defaultdict(Part)
    measured = []
    for node in profile.nodes:
        within = _layers_of(node, layers)
        gmacs = sum(layer.gmacs for layer in within)
        kind = _kind_of(node, within)
        kinds[kind].add(node.seconds, gmacs)
        measured += [layer.name for layer in within if layer.kind in CONVOLUTIONS]
        if kind is Kind.DENSE:
            widest = max(within, key=lambda layer: layer.gmacs)
            dense[widest.in_channels, widest.out_channels, widest.grid].add(node.seconds, gmacs)
    convolutions = {layer.name for layer in layers.values() if layer.kind in CONVOLUTIONS}
    assert sorted(measured) == sorted(convolutions), "a convolution was not measured, or twice"
    return Summary(kinds=dict(kinds), dense=dict(dense), seconds=profile.seconds, peak=peak)


def dense_share(rounds: Sequence[Summary]) -> float:
    """The dense convolutions' rate over the matrix product's in the same round, median of the rounds."""
    return median(summary.kinds[Kind.DENSE].rate / summary.peak for summary in rounds)


def part_of_time(rounds: Sequence[Summary], kind: Kind) -> float:
    """A kind's seconds over those of all nodes, median of the rounds."""
    return median(summary.kinds[kind].seconds / _seconds(summary.kinds.values()) for summary in rounds)


def kind_lines(rounds: Sequence[Summary]) -> list[str]:
    """A table of the kinds, those that take longest first."""
    lines = [f"  {'':24}{'nodes':>6}{'ms':>9}{'of time':>9}{'GMAC':>9}{'GMAC/s':>9}{'of peak':>9}"]
    for kind in sorted(rounds[0].kinds, key=lambda kind: -part_of_time(rounds, kind)):
        parts = [(summary.kinds[kind], summary.peak) for summary in rounds]
        start = f"  {kind:24}{parts[0][0].nodes:6}{_milliseconds(parts)}{part_of_time(rounds, kind):9.1%}"
        lines.append(start + _rates(parts))
    between = median(1e3 * (summary.seconds - _seconds(summary.kinds.values())) for summary in rounds)
    return [*lines, f"  {'between the nodes':30}{between:9.2f}"]


def dense_lines(rounds: Sequence[Summary], most: int) -> list[str]:
    """A table of the dense convolutions by width, those that take longest first."""
    lines = [f"  {'channels, voxels written':30}{'ms':>9}{'lanes':>9}{'GMAC':>9}{'GMAC/s':>9}{'of peak':>9}"]
    ranked = sorted(rounds[0].dense, key=lambda width: -median(summary.dense[width].seconds for summary in rounds))
    for width in ranked[:most]:
        parts = [(summary.dense[width], summary.peak) for summary in rounds]
        read, written, grid = width
        name = f"{read} to {written}, {'x'.join(map(str, grid))}, {parts[0][0].nodes} times"
        lines.append(f"  {name:30}{_milliseconds(parts)}{lanes_filled(written):9.0%}{_rates(parts)}")
    return lines


def lanes_filled(channels: int) -> float:
    """The part of a vector unit's float32 lanes that hold something where they hold channels."""
    lanes = _lanes()
    return channels / (lanes * ceil(channels / lanes))


def _lanes() -> int:
    info = Path("/proc/cpuinfo")
    return 16 if info.is_file() and "avx512f" in info.read_text() else 8


def _layers_of(node: Node, layers: Mapping[str, Layer]) -> list[Layer]:
    """The ONNX nodes in it, each once: an engine may name a node and its result."""
    return list({layers[name].name: layers[name] for name in node.layers if name in layers}.values())


def _kind_of(node: Node, within: Sequence[Layer]) -> Kind:
    kinds = [layer.kind for layer in within]
    kinds += [_KINDS_OF_TYPES[node.type]] if node.type in _KINDS_OF_TYPES else []
    return min(kinds, key=list(Kind).index, default=Kind.OTHER)


def _milliseconds(parts: Sequence[tuple[Part, float]]) -> str:
    return f"{median(1e3 * part.seconds for part, _ in parts):9.2f}"


def _rates(parts: Sequence[tuple[Part, float]]) -> str:
    gmacs = parts[0][0].gmacs
    if not gmacs:
        return ""
    rate = median(part.rate for part, _ in parts)
    return f"{gmacs:9.3f}{rate:9.1f}{median(part.rate / peak for part, peak in parts):9.1%}"


def _seconds(parts: Iterable[Part]) -> float:
    return sum(part.seconds for part in parts)
