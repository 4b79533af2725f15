"""scnas bench --ops: what every operation of the search space takes on an engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scnas_deploy.cli.console import note, progress, say, say_json, table

if TYPE_CHECKING:
    from scnas_deploy.networks.costs import Costs


@dataclass(frozen=True, kw_only=True, slots=True)
class OpsRequest:
    """What the command line asks for."""

    project: Path
    engine: str
    num_threads: int | None
    stem_channels: list[int]
    output: Path
    json: bool


def bench_ops(request: OpsRequest) -> None:
    """Measure every operation at every level and stride, write costs.json and print it."""
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.extras import check_installed

    check_installed("torch", "onnx", "onnxscript", extra="export", purpose="measuring operations")
    from scnas_deploy.data.plan import load_plan
    from scnas_deploy.export.op_costs import Measuring, measure_costs
    from scnas_deploy.files import check_writable

    stems = sorted(set(request.stem_channels))
    if any(stem % 4 for stem in stems):
        raise ConfigError(
            "--stem-channels", expected="multiples of 4", found=str(stems), remedy="A node is a quarter of it wide"
        )
    check_writable(request.output)
    plan = load_plan(request.project / "plan.json")
    note(f"Stems of {', '.join(map(str, stems))} channels, patch {' x '.join(map(str, plan.patch_size))}.")
    with progress("Measuring") as report:
        costs = measure_costs(Measuring(engine=request.engine, num_threads=request.num_threads), plan, stems, report)
    costs.save(request.output)
    if request.json:
        say_json(costs.model_dump(mode="json", by_alias=True))
    else:
        _print(costs, request.output)


def _print(costs: "Costs", output: Path) -> None:
    """Every part's time at full resolution, by width; an edge of the narrower levels costs less."""
    from scnas_deploy.networks.costs import CostEntry

    def name(entry: CostEntry) -> str:
        return f"{entry.place.part} x {entry.place.count}" if entry.place.count > 1 else str(entry.place.part)

    full = [e for e in costs.entries if e.place.level == e.place.from_level == 0 and e.place.part != "projection"]
    names = dict.fromkeys(name(entry) for entry in full)
    by_stem = {(name(entry), 4 * entry.place.node_channels): entry.milliseconds for entry in full}
    rows = [[part, *(f"{by_stem[part, stem]:.3f}" for stem in costs.stems)] for part in names]
    table([f"ms at level 0, {costs.engine}", *(f"stem {stem}" for stem in costs.stems)], rows)
    say(f"Wrote {output}.")
    say(f"Next: scnas search --budget-ms MS --costs {output}")
