"""Training an architecture for a number of seconds on one core, and scoring it on the held-out cases of fold 0."""

import dataclasses
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import Queue, get_context
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from scnas_deploy.data.check import check_dataset
from scnas_deploy.data.dataset import Dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.planning import default_channels, default_labels, make_plan
from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.files import write_text
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.networks.genotype import Architecture, own_patch_size, whole_multiple
from scnas_deploy.project import Project
from scnas_deploy.training.distributed import end_with_parent
from scnas_deploy.training.evaluation import Evaluation, Evaluator
from scnas_deploy.training.folds import fold_split
from scnas_deploy.training.prepared import PreparedCases
from scnas_deploy.training.run import build_network
from scnas_deploy.training.trainer import PRESETS, TrainingTask

FOLD = 0
MOST_STEPS = 20_000
"""More than any training here can take."""


@dataclass(frozen=True)
class Job:
    """What to train, and for how long."""

    name: str
    architecture: Architecture
    seconds: float
    """Of the core's time, which other programs on it do not shorten."""
    seed: int

    @property
    def file_name(self) -> str:
        """Where its outcome is kept."""
        architecture = self.architecture
        return f"{architecture.structure_hash[:12]}-{architecture.stem_channels}-{self.seconds:g}s-{self.seed}.json"


class Outcome(Frozen):
    """What a training came to, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    num_steps: int
    seconds: float
    evaluation: Evaluation


def plan_of(dataset: Dataset) -> Plan:
    """The plan that `scnas init` makes without settings of the user."""
    project = Project(
        name=dataset.root.name,
        dataset=dataset.root,
        labels=default_labels(dataset),
        channels=default_channels(dataset),
    )
    return make_plan(dataset, check_dataset(dataset).fingerprint(), project)


def one_process_a_core() -> ProcessPoolExecutor:
    """Processes of one thread that keep to a core each, so that trainings side by side do not disturb each other."""
    context = get_context("spawn")
    free = context.Queue()
    cores = sorted(os.sched_getaffinity(0))
    for core in cores:
        free.put(core)
    return ProcessPoolExecutor(len(cores), mp_context=context, initializer=_take_core, initargs=(free,))


def _take_core(free: Queue) -> None:
    end_with_parent()
    os.sched_setaffinity(0, {free.get()})
    torch.set_num_threads(1)


def outcome_of(job: Job, dataset: Dataset, plan: Plan, cache: Path, results: Path) -> Outcome:
    """Train and score a network, or read what came of it before."""
    path = results / job.file_name
    if path.is_file():
        outcome = read_document(path, Outcome, made_by="this benchmark")
    else:
        outcome = train(job, dataset, plan, cache)
        write_text(path, to_json(outcome))
    dice = outcome.evaluation.mean_foreground()
    print(f"{job.name}: {outcome.num_steps} steps in {outcome.seconds:.0f} s, Dice {dice:.4f}", flush=True)
    return outcome


def train(job: Job, dataset: Dataset, plan: Plan, cache: Path) -> Outcome:
    """Train for so many seconds of the core's time, with a rate that decays over them."""
    split = fold_split([case.id for case in dataset.cases], FOLD)
    cases = PreparedCases(dataset, plan, cache)
    training, validation = cases.load(split.training), cases.load(split.validation)
    own = plan.with_patch_size(own_patch_size(job.architecture))
    config = dataclasses.replace(PRESETS["cpu"], stem_channels=job.architecture.stem_channels, seed=job.seed)
    network = build_network(job.architecture, plan, seed=job.seed)
    task = TrainingTask(network, config, own, training, validation)
    num_steps, spent = _run(task, job.seconds)
    whole = whole_multiple(job.architecture)
    evaluator = Evaluator(dataset, own, TorchEngine(task.network), job.name, whole_multiple=whole)
    evaluation = evaluator.evaluate(split.validation, fold=FOLD)
    return Outcome(num_steps=num_steps, seconds=round(spent, 1), evaluation=evaluation)


def _run(task: TrainingTask, seconds: float) -> tuple[int, float]:
    """Epochs of equal time, for the rate decays with them; the validation that ends each is not training."""
    task.begin(0, MOST_STEPS)
    num_steps, spent = 0, 0.0
    for epoch in range(task.num_epochs):
        while spent < seconds * (epoch + 1) / task.num_epochs:
            started = time.process_time()
            task.step(num_steps)
            spent += time.process_time() - started
            num_steps += 1
        task.finish_epoch(epoch, 0.0)
    return num_steps, spent
