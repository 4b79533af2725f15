"""What `scnas search` was asked for."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scnas_deploy.cli import options
from scnas_deploy.cli.started_run import NewRun

if TYPE_CHECKING:
    from scnas_deploy.cli.budgets import BudgetOptions
    from scnas_deploy.data.plan import Plan
    from scnas_deploy.networks.costs import Costs
    from scnas_deploy.project import Project
    from scnas_deploy.search.config import SearchConfig
    from scnas_deploy.search.ronasmis_config import RonasmisConfig


class Sampling(StrEnum):
    """How many operations an edge executes in a step."""

    TWO = "two"
    TOP2 = "top2"
    ONE = "one"
    FULL = "full"


class Betas(StrEnum):
    """The readings of "(0.1, 0.001)"."""

    COMPLEMENT = "complement"
    LITERAL = "literal"


class TauSchedule(StrEnum):
    """How the temperature falls."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclasses.dataclass(frozen=True, slots=True)
class SearchRequest:
    """The options; None leaves a setting to the project or the preset."""

    space: options.Space | None
    preset: str | None
    fold: int | None
    seed: int | None
    epochs: int | None
    steps_per_epoch: int | None
    sampling: Sampling | None
    betas: Betas | None
    tau: TauSchedule | None
    checkpointing: bool | None
    budget: "BudgetOptions"

    def given(self) -> dict[str, object]:
        """Options by name, None where one was left out."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "budget"}
        return {**own, **self.budget.given()}

    def resolve(self, project: Path, settings: "Project") -> NewRun:
        """Fill in what was left out, from the project and the preset.

        Raises:
            ConfigError: If the options do not go together, or no network keeps the budget.
            FormatError: If plan.json or costs.json cannot be read.
        """
        from scnas_deploy.data.plan import load_plan
        from scnas_deploy.training.runs import RunRecord, dump_config

        preset = options.pick_preset(self.preset, settings.search.preset)
        seed = settings.search.seed if self.seed is None else self.seed
        plan = load_plan(project / "plan.json")
        space = self.space or options.Space.SCNAS
        costs = None
        config: SearchConfig | RonasmisConfig
        if space is options.Space.RONASMIS:
            config = self._of_ronasmis(preset, seed)
        else:
            config, costs = self._of_scnas(preset, seed, plan)
        fold = settings.search.fold if self.fold is None else self.fold
        record = RunRecord(kind="search", space=space.value, fold=fold, preset=preset, config=dump_config(config))
        return NewRun(record, plan, costs=costs)

    def _of_scnas(self, preset: str, seed: int, plan: "Plan") -> "tuple[SearchConfig, Costs | None]":
        from scnas_deploy.search.config import BETAS, PRESETS

        readings = {
            "sampling": None if self.sampling is None else self.sampling.value,
            "weight_betas": None if self.betas is None else BETAS[self.betas],
            "tau_schedule": None if self.tau is None else self.tau.value,
            "checkpointing": self.checkpointing,
        }
        config = dataclasses.replace(PRESETS[preset], **_without_none({**self._length(seed), **readings}))
        limit, costs = self.budget.resolve(config.operations, plan)
        return dataclasses.replace(config, budget=limit), costs

    def _of_ronasmis(self, preset: str, seed: int) -> "RonasmisConfig":
        """The readings of the SCNAS paper and the budgets mean nothing to the other search."""
        from scnas_deploy.errors import ConfigError
        from scnas_deploy.search.ronasmis_config import RONASMIS_PRESETS

        of_both = ("space", "preset", "fold", "seed", "epochs", "steps_per_epoch")
        meaningless = {name: value for name, value in self.given().items() if name not in of_both}
        if names := options.names_of_given(meaningless):
            raise ConfigError(
                "--space ronasmis",
                expected="no settings of the SCNAS search beside it",
                found=", ".join(names),
                remedy="Leave them out",
            )
        return dataclasses.replace(RONASMIS_PRESETS[preset], **_without_none(self._length(seed)))

    def _length(self, seed: int) -> dict[str, Any]:
        return {"num_epochs": self.epochs, "steps_per_epoch": self.steps_per_epoch, "seed": seed}


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
