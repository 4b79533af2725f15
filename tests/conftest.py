"""Fixtures that several rooms' tests share."""

import gc
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from demo.phantom import draw_dataset
from scnas_deploy.data.check import check_dataset
from scnas_deploy.data.dataset import Dataset, read_dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.planning import default_channels, default_labels, make_plan
from scnas_deploy.networks.genotype import (
    NUM_EDGES,
    CellType,
    Genotype,
    Operation,
    Provenance,
    ScnasArchitecture,
    ScnasCells,
)
from scnas_deploy.project import PlanSettings, Project, save_project

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # test processes share the cores; their threads would wait in turns

REQUIRE_ALL = os.environ.get("SCNAS_REQUIRE_ALL") == "1"


@pytest.fixture(scope="session")
def scnas_data() -> Path:
    """The folder of real images named by SCNAS_DATA."""
    folder = os.environ.get("SCNAS_DATA")
    if folder is None:
        message = "SCNAS_DATA names no folder with Task04_Hippocampus and the other public datasets"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
    return Path(folder)


@pytest.fixture(scope="session")
def phantom_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ten cases of the demo's phantom in MSD layout."""
    return read_dataset(draw_dataset(tmp_path_factory.mktemp("phantom"), num_cases=10))


def plan_phantom(folder: Path, dataset: Dataset, size: int = 24) -> Plan:
    """Leave a working folder as `scnas init` does when the user has set a patch of size^3 voxels."""
    project = Project(
        name=dataset.name,
        dataset=dataset.root,
        labels=default_labels(dataset),
        channels=default_channels(dataset),
        plan=PlanSettings(patch_size=(size, size, size)),
    )
    plan = make_plan(dataset, check_dataset(dataset).fingerprint(), project)
    save_project(folder, project)
    plan.save(folder / "plan.json")
    return plan


@pytest.fixture(scope="session")
def phantom_plan(tmp_path_factory: pytest.TempPathFactory, phantom_dataset: Dataset) -> Plan:
    """The phantom's plan with a small patch."""
    return plan_phantom(tmp_path_factory.mktemp("planned"), phantom_dataset)


def make_genotype(cell: tuple[Operation, ...], stem_channels: int = 4) -> Genotype:
    """A genotype whose four cells are the same."""
    cells = ScnasCells(**{cell_type.value: cell for cell_type in CellType})
    architecture = ScnasArchitecture(cells=cells, stem_channels=stem_channels)
    return Genotype(architecture=architecture, provenance=Provenance(made_by="a test"))


@pytest.fixture(scope="session")
def varied_genotype() -> Genotype:
    """A narrow genotype that holds each of the eight operations; its other edges are empty, for the exporter's sake."""
    fed = [*Operation, Operation.ZERO, Operation.CONV]  # the last node too has an edge
    return make_genotype((*fed, *[Operation.ZERO] * (NUM_EDGES - len(fed))))


@dataclass(frozen=True)
class ExportedPhantom:
    """A package of a network on the phantom's plan, and what it was made from."""

    package: Path
    network: object
    patches: list


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, phantom_dataset: Dataset, phantom_plan: Plan, varied_genotype: Genotype
) -> ExportedPhantom:
    """Export once for all tests and test processes: the exporter takes most of a minute's half."""
    from scnas_deploy.data.check import load_case
    from scnas_deploy.data.preprocess import prepare
    from scnas_deploy.export.package import Description, export_package
    from scnas_deploy.export.parity import RealPatches
    from scnas_deploy.inference.manifest import MeasuredDice, TrainingRecord
    from scnas_deploy.training.run import at_width, build_network

    network = build_network(varied_genotype.architecture, phantom_plan, seed=1).eval()
    patches = []
    for case in phantom_dataset.cases[:10]:
        image, _ = prepare(load_case(phantom_dataset, case)[0], phantom_plan)
        patches.append(np.ascontiguousarray(image[None, :, :24, :24, :24]))
    description = Description(
        name="phantom",
        measured_dice=MeasuredDice(num_cases=2, fold=0, by_label={"front": 0.5, "back": 0.5}),
        training=TrainingRecord(preset="cpu", fold=0, seed=1),
    )
    target = _shared(tmp_path_factory, "phantom.scnas")
    with FileLock(target.with_suffix(".lock")):
        if not target.exists():
            genotype = at_width(varied_genotype, 4, phantom_plan)
            real = [RealPatches(patches_BCXYZ) for patches_BCXYZ in patches]
            export_package(network, genotype, phantom_plan, real, description, target)
    return ExportedPhantom(target, network, patches)


@pytest.fixture(scope="session")
def in_all_precisions(
    tmp_path_factory: pytest.TempPathFactory, phantom_dataset: Dataset, phantom_plan: Plan, varied_genotype: Genotype
) -> ExportedPhantom:
    """A package of a small network that knows the phantom, in float32, half precision and eight bits.

    Its genotype is another network's: what a package holds beside its networks is not of interest here.
    """
    from scnas_deploy.export.package import Description, ExportOptions, export_package
    from scnas_deploy.export.parity import RealPatches
    from scnas_deploy.inference.manifest import TrainingRecord
    from scnas_deploy.training.augmentation import NO_AUGMENTATION, Augmentation
    from scnas_deploy.training.patches import PatchStream
    from scnas_deploy.training.prepared import PreparedCases
    from tests.small import small_network

    ids = [case.id for case in phantom_dataset.cases]
    cases = PreparedCases(phantom_dataset, phantom_plan, tmp_path_factory.mktemp("prepared")).load(ids)
    plain = Augmentation(NO_AUGMENTATION, phantom_plan.patch_size, ())
    learnt = PatchStream(cases[:8], plain, foreground=0.5, key=("learnt",))
    held_out = PatchStream(cases[8:], plain, foreground=1.0, key=("held out",))
    network = small_network([learnt[number] for number in range(8)], phantom_plan.num_classes)
    real = [
        RealPatches(image.numpy()[None], classes.numpy()[None])
        for image, classes in (held_out[number] for number in range(10))
    ]
    target = _shared(tmp_path_factory, "precisions.scnas")
    with FileLock(target.with_suffix(".lock")):
        if not target.exists():
            training = TrainingRecord(preset="cpu", fold=0, seed=0)
            description = Description(name="precisions", measured_dice=None, training=training)
            calibration = [learnt[number][0].numpy()[None] for number in range(16)]
            options = ExportOptions(half=True, calibration=calibration, weights=False)
            export_package(network, varied_genotype, phantom_plan, real, description, target, options)
    return ExportedPhantom(target, network, real)


def _shared(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A path that all test processes share."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A Chromium for all tests of this process."""
    from tests.browser import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB; needs root, as in CI and containers."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        message = "mounting a small tmpfs needs root"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
    yield folder
    gc.collect()  # a failed writer's file stays open as long as its traceback
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
