"""Run folders as searches and trainings leave them, written without either."""

import json
from pathlib import Path

import torch

from scnas_deploy.networks.genotype import (
    NUM_EDGES,
    BudgetRecord,
    CellType,
    Genotype,
    Operation,
    Provenance,
    ScnasArchitecture,
    ScnasCells,
)
from scnas_deploy.networks.ronasmis_settings import Activation, RonasmisArchitecture
from scnas_deploy.search.budget import Budget
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.monitor import Monitor
from scnas_deploy.search.ronasmis_config import RonasmisConfig
from scnas_deploy.training.gap import Gap
from scnas_deploy.training.ledger import Ledger, LedgerWriter, Sitting
from scnas_deploy.training.runs import RunFolder, RunRecord, dump_config
from scnas_deploy.training.trainer import TrainingConfig

PATCHES = "ab" * 32
BUDGET = Budget(kind="gmacs", limit=0.9, stem_channels=16)


def begin_search(folder: Path, plan, *, num_epochs: int = 12, budget: Budget | None = None) -> RunFolder:
    config = SearchConfig(num_epochs=num_epochs, steps_per_epoch=5, budget=budget)
    record = RunRecord(kind="search", space="scnas", fold=0, preset="fast", config=dump_config(config))
    run = RunFolder(folder)
    run.create(record, plan)
    return run


def search_epochs(num_epochs: int, *, warmup: int = 2, budget: bool = False) -> list[dict]:
    """An architecture that decides itself, more and more."""
    goal = torch.randn(4, NUM_EDGES, 8, generator=torch.Generator().manual_seed(3))
    monitor = Monitor(tuple(Operation))
    records = []
    for epoch in range(num_epochs):
        record = {"epoch": epoch, "loss": 0.9 - 0.05 * epoch, "learning_rate": 0.01, "tau": 10.0 - 0.8 * epoch}
        if epoch >= warmup:
            record |= {"architecture_loss": 0.88 - 0.05 * epoch, **monitor.observe(0.5 * (epoch - warmup) * goal)}
            record["edges_without_alpha_gradient"] = 0.1
            if budget:
                record |= {"expected_cost": 2 - 0.1 * epoch, "strongest_cost": 1.8 - 0.1 * epoch, "multiplier": 0.2}
        records.append({**record, "seconds": 7.5 * (epoch + 1), "peak_bytes": 1_200_000_000 + epoch})
    return records


def write_epochs(run: RunFolder, records: list[dict]) -> None:
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def write_ledger(run: RunFolder, seconds: float) -> Ledger:
    sitting = Sitting(
        started="2026-11-20T10:00:00+00:00",
        device="CPU",
        num_processes=1,
        seconds=seconds,
        peak_bytes=1_500_000_000,
        cpu_joules=7200.0,
        gpu_joules=None,
    )
    return LedgerWriter(run.path, run.record().kind, lambda: sitting).save()


def finish_search(run: RunFolder, *, budget: bool = False, warnings: tuple[str, ...] = ()) -> Genotype:
    """Leave what was found."""
    operations = (*Operation, *Operation)[:NUM_EDGES]
    cells = ScnasCells(**{cell_type.value: operations for cell_type in CellType})
    provenance = Provenance(
        made_by="scnas search",
        seed=0,
        fold=0,
        final_entropy=0.41,
        warnings=warnings,
        supernet_dice=0.6147,
        derived_dice=0.6695,
        report_patches=PATCHES,
    )
    kept = BudgetRecord(kind="gmacs", limit=0.9, predicted=0.85, measured=0.87) if budget else None
    architecture = ScnasArchitecture(cells=cells, stem_channels=16)
    found = Genotype(architecture=architecture, gmacs=0.87, num_parameters=234_567, provenance=provenance, budget=kept)
    found.save(run.path / "genotype.json")
    return found


def write_training(folder: Path, plan, genotype: Genotype, *, retrained: float = 0.8822) -> RunFolder:
    """A finished training."""
    config = TrainingConfig(num_epochs=5, steps_per_epoch=4)
    record = RunRecord(kind="train", fold=0, preset="cpu", config=dump_config(config))
    run = RunFolder(folder)
    run.create(record, plan, genotype)
    epochs = [
        {
            "epoch": epoch,
            "loss": 0.8 / (epoch + 1),
            "learning_rate": 3e-4 / (epoch + 1),
            "validation_loss": 0.7 / (epoch + 1),
        }
        | {"seconds": 3.0 * (epoch + 1), "peak_bytes": 900_000_000}
        for epoch in range(5)
    ]
    write_epochs(run, epochs)
    write_ledger(run, 16.0)
    (run.path / "weights.safetensors").touch()
    Gap.of(genotype.provenance, PATCHES, retrained).save(run.path)
    return run


def write_ronasmis(folder: Path, plan) -> RunFolder:
    """A finished search by a controller."""
    record = RunRecord(
        kind="search", space="ronasmis", fold=0, preset="cpu", config=dump_config(RonasmisConfig(num_epochs=4))
    )
    run = RunFolder(folder)
    run.create(record, plan)
    rewards = [
        {"epoch": epoch, "loss": 0.6, "learning_rate": 1e-3, "mean_reward": 0.4 + 0.1 * epoch, "best_reward": 0.6}
        | {"baseline": 0.4, "controller_entropy": 0.8, "seconds": epoch + 1.0, "peak_bytes": 10**9}
        for epoch in range(4)
    ]
    write_epochs(run, rewards)
    architecture = RonasmisArchitecture(
        patch_size=(16, 16, 32),
        strides=(2, 1, 1),
        dilations=(1, 2, 3),
        activation=Activation.ELU,
        skips=(True, False, True, True, False, True),
        dropped=(False, False, True, True),
    )
    provenance = Provenance(made_by="scnas search", derived_dice=0.5271, report_patches=PATCHES)
    Genotype(architecture=architecture, provenance=provenance).save(run.path / "genotype.json")
    return run
