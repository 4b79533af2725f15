"""Budget options that do not go together, or that no network keeps."""

import pytest

from scnas_deploy.cli.budgets import BudgetOptions
from scnas_deploy.errors import ConfigError
from scnas_deploy.search.config import PRESETS

NOTHING = {"gmacs": None, "bytes": None, "ms": None, "costs": None, "stem_channels": None}

REFUSED = {
    "one budget": {"gmacs": 1.0, "bytes": 1e6},
    "--costs": {"ms": 5.0},
    "--budget-ms": {"costs": "costs.json"},
    "without a budget": {"stem_channels": 16},
    "multiple of 4": {"gmacs": 1.0, "stem_channels": 18},
    "between": {"gmacs": 1e-4},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_does_not_go_together_is_refused(said, phantom_plan):
    options = BudgetOptions(**{**NOTHING, **REFUSED[said]})
    with pytest.raises(ConfigError, match=said):
        options.resolve(PRESETS["cpu"].operations, phantom_plan)


def test_without_options_there_is_no_budget(phantom_plan):
    assert BudgetOptions(**NOTHING).resolve(PRESETS["cpu"].operations, phantom_plan) == (None, None)


def test_a_width_is_chosen_or_taken(phantom_plan):
    free, _ = BudgetOptions(**{**NOTHING, "gmacs": 0.3}).resolve(PRESETS["cpu"].operations, phantom_plan)
    fixed, _ = BudgetOptions(**{**NOTHING, "gmacs": 0.3, "stem_channels": 12}).resolve(
        PRESETS["cpu"].operations, phantom_plan
    )
    assert (free.kind, free.limit) == (fixed.kind, fixed.limit) == ("gmacs", 0.3)
    assert free.stem_channels in (16, 32, 64, 96, 128)
    assert fixed.stem_channels == 12


def test_the_command_refuses_in_one_line_and_begins_no_run(project):
    said = project.refused("search", "--preset", "cpu", "--budget-gmacs", "1", "--budget-bytes", "1e6", status=2)
    assert "one budget" in said
