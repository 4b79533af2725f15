"""A RONASMIS search ends with a network that is evaluated, exported and used without being trained again."""

import json

import nibabel
import numpy as np
import pytest

from scnas_deploy.inference.engines.select import open_engine
from scnas_deploy.inference.package import open_package
from scnas_deploy.networks.genotype import load_genotype
from tests.cli.conftest import CommandLine
from tests.conftest import plan_phantom

BRIEFLY = ("--epochs", "2", "--steps-per-epoch", "3")


pytestmark = pytest.mark.soak  # a chain of its own; test_chain.py has the other space's


@pytest.fixture(scope="module")
def searched(tmp_path_factory, phantom_dataset) -> CommandLine:
    folder = tmp_path_factory.mktemp("ronasmis")
    scnas = CommandLine(folder, folder / "models")
    plan_phantom(folder, phantom_dataset, size=32)
    result = scnas("search", "--space", "ronasmis", *BRIEFLY)
    assert "trained already" in result.stdout
    scnas("evaluate", "--name", "search")
    scnas("export", "--name", "search")
    return scnas


def test_the_package_answers_what_the_run_does(searched):
    of_run = json.loads((searched.folder / "runs" / "search" / "evaluation.json").read_text())
    of_package = json.loads(searched("evaluate", "-m", "phantom", "--json").stdout)
    for ours, theirs in zip(of_package["cases"], of_run["cases"], strict=True):
        np.testing.assert_allclose(list(ours["dice"].values()), list(theirs["dice"].values()), atol=2e-3)


def test_the_package_takes_volumes_of_any_multiple(searched):
    package = open_package(searched.models / "phantom.scnas")
    architecture = package.genotype.architecture
    assert package.plan.patch_size == architecture.patch_size
    engine = open_engine(package.models).engine
    multiple = architecture.resolutions[-1]
    for steps in ((8, 9, 10), (11, 8, 9)):
        shape = tuple(multiple * count for count in steps)
        assert engine.run(np.zeros((1, 1, *shape), dtype=np.float32)).shape == (1, 3, *shape)


def test_a_study_is_segmented_at_once(searched, phantom_dataset, tmp_path):
    study = phantom_dataset.cases[0].images[0]
    searched("segment", study, "-o", tmp_path / "mask.nii.gz")
    assert nibabel.load(tmp_path / "mask.nii.gz").shape == nibabel.load(study).shape


def test_the_found_network_can_be_trained_anew(searched):
    searched("train", "--name", "anew", "--epochs", "1", "--steps-per-epoch", "2")
    searched("evaluate", "--name", "anew")
    found, trained = (load_genotype(searched.folder / "runs" / name / "genotype.json") for name in ("search", "anew"))
    assert found.architecture == trained.architecture


def test_readings_of_the_other_paper_are_refused(searched):
    error = searched.refused("search", "--space", "ronasmis", "--name", "other", "--tau", "linear", status=2)
    assert "--tau" in error
    assert not (searched.folder / "runs" / "other").exists()
