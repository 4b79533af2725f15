"""The budget options of `scnas search`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scnas_deploy.data.plan import Plan
    from scnas_deploy.networks.costs import Costs
    from scnas_deploy.networks.genotype import BudgetRecord, Operation
    from scnas_deploy.search.budget import Budget, Kind

GmacsOption = Annotated[
    float | None,
    typer.Option(
        "--budget-gmacs", min=1e-6, help="Multiply-accumulates of a patch that the network may cost, in 10^9."
    ),
]
BytesOption = Annotated[
    float | None,
    typer.Option("--budget-bytes", min=1, help="Bytes that the activations of a patch may take in inference."),
]
MsOption = Annotated[float | None, typer.Option("--budget-ms", min=1e-6, help="Milliseconds a patch; needs --costs.")]
CostsOption = Annotated[
    Path | None, typer.Option("--costs", help="What `scnas bench --ops` measured on the engine to deploy on.")
]
StemOption = Annotated[
    int | None,
    typer.Option("--stem-channels", min=4, help="Width of the network the budget is for; left out, chosen by it."),
]

COSTS = "costs.json"
"""Name of the costs in the run's folder."""


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """What was asked for."""

    gmacs: float | None
    bytes: float | None
    ms: float | None
    costs: Path | None
    stem_channels: int | None

    def given(self) -> dict[str, object]:
        """The options by name, as --resume refuses them."""
        limits = {"budget_gmacs": self.gmacs, "budget_bytes": self.bytes, "budget_ms": self.ms}
        return {**limits, "costs": self.costs, "stem_channels": self.stem_channels}

    def resolve(self, operations: "tuple[Operation, ...]", plan: "Plan") -> "tuple[Budget | None, Costs | None]":
        """The budget and what was measured for it.

        Raises:
            ConfigError: If the options do not go together, or no network keeps the budget.
            FormatError: If costs.json cannot be read.
            MissingExtraError: If the engine that was measured is not installed.
        """
        from scnas_deploy.networks.costs import load_costs
        from scnas_deploy.search.budget import STEMS, make_budget

        values: dict[Kind, float | None] = {"gmacs": self.gmacs, "bytes": self.bytes, "ms": self.ms}
        limits = {kind: value for kind, value in values.items() if value is not None}
        self._check(list(limits))
        if not limits:
            return None, None
        ((kind, limit),) = limits.items()
        costs = None if self.costs is None else load_costs(self.costs)
        if costs is not None:
            _check_costs(costs, plan, self.stem_channels)
            _check_engine(costs)
        stems = STEMS if costs is None else costs.stems
        return make_budget(
            kind, limit, (self.stem_channels,) if self.stem_channels else stems, operations, plan, costs
        ), costs

    def _check(self, kinds: "list[Kind]") -> None:
        from scnas_deploy.errors import ConfigError

        if len(kinds) > 1:
            found = ", ".join(f"--budget-{kind}" for kind in kinds)
            raise ConfigError("budget", expected="one budget", found=found, remedy="Leave out all but one")
        if ("ms" in kinds) != (self.costs is not None):
            given = "--costs alone" if self.costs is not None else "--budget-ms alone"
            raise ConfigError(
                "--budget-ms", expected="--budget-ms and --costs together", found=given,
                remedy="Measure costs with scnas bench --ops, and name a limit in milliseconds",
            )  # fmt: skip
        if self.stem_channels is not None and (not kinds or self.stem_channels % 4):
            found = str(self.stem_channels) if kinds else "--stem-channels without a budget"
            raise ConfigError(
                "--stem-channels", expected="a multiple of 4, beside a budget", found=found,
                remedy="Without a budget, the width is chosen by scnas train",
            )  # fmt: skip


def _check_costs(costs: "Costs", plan: "Plan", stem_channels: int | None) -> None:
    """Refuse what was measured for something else."""
    from scnas_deploy.errors import ConfigError

    measured = (costs.patch_size, costs.in_channels, costs.num_classes)
    planned = (plan.patch_size, len(plan.channels), plan.num_classes)
    if measured != planned:
        raise ConfigError(
            "--costs", expected=f"patch, channels and classes of the plan, {planned}", found=str(measured),
            remedy="Measure again with scnas bench --ops in this project",
        )  # fmt: skip
    if stem_channels is not None and stem_channels not in costs.stems:
        raise ConfigError(
            "--stem-channels", expected=f"one of the widths that were measured, {costs.stems}",
            found=str(stem_channels), remedy="Measure this one with scnas bench --ops --stem-channels",
        )  # fmt: skip


def _check_engine(costs: "Costs") -> None:
    """Refuse costs of an engine that cannot verify the found network here, before hours of search."""
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.export.op_graphs import repeated
    from scnas_deploy.inference.engines.select import open_engine

    part = repeated(costs.entries[0].place, costs.patch_size, 1)
    engine = open_engine({"float32": part}, costs.engine_name).engine
    if engine.name != costs.engine:
        raise ConfigError(
            "--costs", expected=f"costs measured on {engine.name}, which is installed", found=costs.engine,
            remedy="Measure again with scnas bench --ops",
        )  # fmt: skip


def load_run_costs(run: Path) -> "Costs | None":
    """What a run's budget was measured with."""
    from scnas_deploy.networks.costs import load_costs

    return load_costs(run / COSTS) if (run / COSTS).is_file() else None


def describe(kept: "BudgetRecord", stem_channels: int) -> str:
    """How a network keeps its budget, in words."""
    from scnas_deploy.search.budget import UNITS

    how = f"measured on {kept.engine}" if kept.engine else "counted"
    share = kept.measured / kept.limit
    return (
        f"Budget {kept.limit:g} {UNITS[kept.kind]}: {kept.measured:g} {how} ({share:.0%} of it), "
        f"{kept.predicted:g} predicted, at {stem_channels} channels"
    )
