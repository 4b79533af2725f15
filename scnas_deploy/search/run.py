"""One search from cases to genotype."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from scnas_deploy.data.plan import Plan
from scnas_deploy.networks.costs import Costs
from scnas_deploy.networks.genotype import Genotype, Provenance, load_genotype
from scnas_deploy.search.bilevel import BilevelTask
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.found import SearchGap
from scnas_deploy.search.ronasmis import RonasmisTask
from scnas_deploy.search.ronasmis_config import RonasmisConfig
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.folds import search_split
from scnas_deploy.training.gap import rounded
from scnas_deploy.training.loop import Loop, Progress
from scnas_deploy.training.memory import peak_bytes
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.training.report_patches import ReportPatches
from scnas_deploy.training.run import at_width, save_weights


def search(
    config: SearchConfig | RonasmisConfig,
    plan: Plan,
    cases: Sequence[PreparedCase],
    folder: Path,
    *,
    fold: int,
    resume: bool = False,
    held_out: Sequence[PreparedCase] = (),
    progress: Progress | None = None,
    world: World = ALONE,
    costs: Costs | None = None,
) -> Genotype:
    """Search a genotype on the training cases of a fold.

    Args:
        config: Settings; their kind says which space is searched.
        plan: The dataset's plan.
        cases: The fold's training cases; they are split 4:1 for weights and architecture.
        folder: The run folder; checkpoint, metrics and genotype.json go there, and where the network needs no training
            of its own, weights.safetensors.
        fold: Its number, for the record.
        resume: Continue from the folder's checkpoint.
        held_out: The cases that the fold holds out. Once the genotype stands, supernet and genotype are measured on
            patches of them, for the record; they decide nothing. Without any, nothing is measured.
        progress: Called after each step.
        world: The processes that search together; the main one derives the genotype and each returns it.
        costs: What was measured on an engine, for a budget in milliseconds.
    """
    weights, architecture = search_split([case.id for case in cases], config.seed)
    by_id = {case.id: case for case in cases}
    parts = [by_id[name] for name in weights], [by_id[name] for name in architecture]
    task = _make_task(config, plan, *parts, world, costs)
    loop = Loop(task, folder, resume=resume, progress=progress, world=world)
    loop.run()
    if not world.is_main:
        world.barrier()
        return load_genotype(folder / "genotype.json")
    found = task.derive()
    gap = task.measure(found, loop.num_steps_done, ReportPatches(held_out, plan)) if held_out else SearchGap()
    genotype = Genotype(
        architecture=found.architecture,
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
            warnings=found.warnings,
            final_entropy=round(found.final_entropy, 4),
            supernet_dice=rounded(gap.supernet_dice),
            derived_dice=rounded(gap.derived_dice),
            report_patches=gap.patches,
        ),
        budget=found.budget,
    )
    genotype = at_width(genotype, found.architecture.stem_channels, plan)
    if found.weights is not None:
        save_weights(found.weights, folder)
    genotype.save(folder / "genotype.json")
    world.barrier()
    return genotype


def _make_task(
    config: SearchConfig | RonasmisConfig,
    plan: Plan,
    weight_cases: Sequence[PreparedCase],
    architecture_cases: Sequence[PreparedCase],
    world: World,
    costs: Costs | None,
) -> BilevelTask | RonasmisTask:
    if isinstance(config, RonasmisConfig):
        return RonasmisTask(config, plan, weight_cases, architecture_cases, world)
    return BilevelTask(config, plan, weight_cases, architecture_cases, world, costs)


def _settings(config: SearchConfig | RonasmisConfig) -> dict[str, str | int | float | bool | list[str] | list[float]]:
    plain = (str, int, float, bool)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
        if isinstance(value, (*plain, tuple))
    }
