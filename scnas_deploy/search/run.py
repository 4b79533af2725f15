"""One search from cases to genotype."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from scnas_deploy.data.plan import Plan
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.costs import Costs
from scnas_deploy.networks.genotype import Genotype, Provenance, ScnasArchitecture, load_genotype
from scnas_deploy.search.bilevel import BilevelTask
from scnas_deploy.search.budget import cost_function
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.search.fitting import fit_budget
from scnas_deploy.search.monitor import mean_entropy
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.folds import search_split
from scnas_deploy.training.loop import Loop, Progress
from scnas_deploy.training.memory import peak_bytes
from scnas_deploy.training.prepared import PreparedCase


def search(
    config: SearchConfig,
    plan: Plan,
    cases: Sequence[PreparedCase],
    folder: Path,
    *,
    fold: int,
    resume: bool = False,
    progress: Progress | None = None,
    world: World = ALONE,
    costs: Costs | None = None,
) -> Genotype:
    """Search a genotype on the training cases of a fold.

    Args:
        config: Settings.
        plan: The dataset's plan.
        cases: The fold's training cases; they are split 4:1 for weights and architecture.
        folder: The run folder; checkpoint, metrics and genotype.json go there.
        fold: Its number, for the record.
        resume: Continue from the folder's checkpoint.
        progress: Called after each step.
        world: The processes that search together; each returns the genotype.
        costs: What was measured on an engine, for a budget in milliseconds.
    """
    weights, architecture = search_split([case.id for case in cases], config.seed)
    by_id = {case.id: case for case in cases}
    budget = config.budget
    expected = (
        None if budget is None else cost_function(budget.kind, config.operations, budget.stem_channels, plan, costs)
    )
    of_weights, of_architecture = ([by_id[name] for name in names] for names in (weights, architecture))
    task = BilevelTask(config, plan, of_weights, of_architecture, world, expected)
    loop = Loop(task, folder, resume=resume, progress=progress, world=world)
    loop.run()
    if not world.is_main:
        world.barrier()
        return load_genotype(folder / "genotype.json")
    kept = None
    if budget is None:
        cells = derive_cells(task.alpha_TEO, config.operations)
        found = ScnasArchitecture(cells=cells, stem_channels=config.stem_channels)
    else:
        found, kept = fit_budget(task.alpha_TEO, config.operations, budget, plan, costs, spend=task.was_bound)
    cost = count(found, in_channels=len(plan.channels), num_classes=plan.num_classes, patch_size=plan.patch_size)
    genotype = Genotype(
        architecture=found,
        gmacs=round(cost.gmacs, 4),
        num_parameters=cost.num_parameters,
        provenance=Provenance(
            made_by="scnas search",
            dataset_fingerprint=plan.dataset_fingerprint,
            seed=config.seed,
            settings=_settings(config),
            training_cases=len(cases),
            fold=fold,
            search_seconds=round(loop.seconds, 1),
            device=world.hardware,
            peak_bytes=peak_bytes(),
            warnings=task.monitor.warnings,
            final_entropy=round(mean_entropy(task.alpha_TEO), 4),
        ),
        budget=kept,
    )
    genotype.save(folder / "genotype.json")
    world.barrier()
    return genotype


def _settings(config: SearchConfig) -> dict[str, str | int | float | bool | list[str] | list[float]]:
    plain = (str, int, float, bool)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
        if isinstance(value, (*plain, tuple))
    }
