"""scnas bench: what this machine's engines take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, progress, say, say_json, table

if TYPE_CHECKING:
    from scnas_deploy.networks.costs import Costs


def bench(
    ops: Annotated[bool, typer.Option("--ops", help="Measure the operations of the search space.")] = False,
    project: options.ProjectOption = Path(),
    engine: options.EngineOption = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the engine.")] = None,
    stem_channels: Annotated[
        list[int] | None,
        typer.Option("--stem-channels", min=4, help="A width to measure, a multiple of 4; may be repeated."),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write it.")] = Path("costs.json"),
    json: options.JsonOption = False,
) -> None:
    """Measure every operation at every level and stride on an engine, for `scnas search --budget-ms`."""
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.extras import check_installed

    if not ops:
        raise ConfigError(
            "scnas bench", expected="what to measure", found="nothing", remedy="Measure operations with --ops"
        )
    check_installed("torch", "onnx", "onnxscript", extra="export", purpose="measuring operations")
    from scnas_deploy.data.plan import load_plan
    from scnas_deploy.export.op_costs import Measuring, measure_costs
    from scnas_deploy.files import check_writable

    stems = sorted(set(stem_channels or [16, 32]))
    if any(stem % 4 for stem in stems):
        raise ConfigError(
            "--stem-channels", expected="multiples of 4", found=str(stems), remedy="A node is a quarter of it wide"
        )
    check_writable(output)
    plan = load_plan(project / "plan.json")
    note(f"Stems of {', '.join(map(str, stems))} channels, patch {' x '.join(map(str, plan.patch_size))}.")
    with progress("Measuring") as report:
        costs = measure_costs(Measuring(engine=engine, num_threads=threads), plan, stems, report)
    costs.save(output)
    if json:
        say_json(costs.model_dump(mode="json", by_alias=True))
    else:
        _print(costs, output)


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
    say(f"Wrote {output}. Next: scnas search --budget-ms MS --costs {output}")
