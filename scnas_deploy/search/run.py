"""One search from cases to genotype."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scnas_deploy.data.plan import Plan
from scnas_deploy.networks.complexity import count
from scnas_deploy.networks.genotype import Genotype, Provenance, ScnasArchitecture, ScnasCells
from scnas_deploy.search.bilevel import BilevelTask
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.search.gap import derived_dice, supernet_dice
from scnas_deploy.search.monitor import mean_entropy
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.folds import search_split
from scnas_deploy.training.gap import rounded
from scnas_deploy.training.loop import Loop, Progress
from scnas_deploy.training.memory import peak_bytes
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.training.report_patches import ReportPatches


def search(
    config: SearchConfig,
    plan: Plan,
    cases: Sequence[PreparedCase],
    folder: Path,
    *,
    fold: int,
    resume: bool = False,
    held_out: Sequence[PreparedCase] = (),
    progress: Progress | None = None,
    world: World = ALONE,
) -> Genotype:
    """Search a genotype on the training cases of a fold.

    Args:
        config: Settings.
        plan: The dataset's plan.
        cases: The fold's training cases; they are split 4:1 for weights and architecture.
        folder: The run folder; checkpoint, metrics and genotype.json go there.
        fold: Its number, for the record.
        resume: Continue from the folder's checkpoint.
        held_out: The cases that the fold holds out. Once the genotype stands, supernet and genotype are measured on
            patches of them, for the record; they decide nothing. Without any, nothing is measured.
        progress: Called after each step.
        world: The processes that search together; each returns the genotype.
    """
    weights, architecture = search_split([case.id for case in cases], config.seed)
    by_id = {case.id: case for case in cases}
    task = BilevelTask(config, plan, [by_id[name] for name in weights], [by_id[name] for name in architecture], world)
    loop = Loop(task, folder, resume=resume, progress=progress, world=world)
    loop.run()
    found = ScnasArchitecture(cells=derive_cells(task.alpha_TEO, config.operations), stem_channels=config.stem_channels)
    measured = (
        _measure(task, found.cells, config, loop.num_steps_done, ReportPatches(held_out, plan)) if held_out else {}
    )
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
            **measured,
        ),
    )
    if world.is_main:
        genotype.save(folder / "genotype.json")
    world.barrier()
    return genotype


def _measure(
    task: BilevelTask, cells: ScnasCells, config: SearchConfig, num_steps: int, patches: ReportPatches
) -> dict[str, Any]:
    """The provenance's fields on the gap between supernet and genotype."""
    tau = task.tau(num_steps - 1)
    return {
        "supernet_dice": rounded(supernet_dice(task.supernet, task.alpha_TEO, config, tau, patches)),
        "derived_dice": rounded(derived_dice(task.supernet, cells, config, patches)),
        "report_patches": patches.digest(),
    }


def _settings(config: SearchConfig) -> dict[str, str | int | float | bool | list[str] | list[float]]:
    plain = (str, int, float, bool)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
        if isinstance(value, (*plain, tuple))
    }
