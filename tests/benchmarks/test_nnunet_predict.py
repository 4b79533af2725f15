"""nnU-Net's predictor, given a network of ours, answers what ours answers; the benchmark of both runs through."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.nnunet_peer import open_predictor, plans_of, predict_files, turned
from benchmarks.nnunet_predict import mean_dice, ratio, spread
from scnas_deploy.data.check import load_case
from scnas_deploy.data.nifti import load_nifti, save_labels
from scnas_deploy.data.preprocess import prepare
from scnas_deploy.errors import FormatError
from scnas_deploy.export.package import Description, export_package
from scnas_deploy.export.parity import RealPatches
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.inference.manifest import MeasuredDice, TrainingRecord
from scnas_deploy.inference.predictor import Predictor
from scnas_deploy.networks.genotype import Genotype, PlainConvUNetArchitecture, Provenance, UResNetArchitecture
from scnas_deploy.training.run import at_width, build_network

ROOT = Path(__file__).parents[2]
NARROW = PlainConvUNetArchitecture(stem_channels=4)


@pytest.fixture(scope="module")
def network(phantom_plan):
    return build_network(NARROW, phantom_plan, seed=4).eval()


@torch.inference_mode()
def test_turned_weights_answer_turned_patches(network, phantom_plan):
    patch = torch.randn(1, 1, 24, 16, 32, generator=torch.Generator().manual_seed(0))
    other = build_network(NARROW, phantom_plan).eval()
    other.load_state_dict(turned(network.state_dict()))
    torch.testing.assert_close(other(patch.transpose(2, 4)).transpose(2, 4), network(patch), atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def peer(network, phantom_plan):
    return open_predictor(phantom_plan, NARROW, network.state_dict(), num_threads=1)


def test_nnunet_prepares_a_study_as_we_do(peer, phantom_plan, phantom_dataset):
    study = phantom_dataset.cases[0].images[0]
    preprocessor = peer.configuration_manager.preprocessor_class(verbose=False)
    theirs, *_ = preprocessor.run_case(
        [str(study)], None, peer.plans_manager, peer.configuration_manager, peer.dataset_json
    )
    image_CXYZ, _ = prepare(load_nifti(study), phantom_plan)
    assert np.array_equal(theirs.transpose(0, 3, 2, 1), image_CXYZ)


def test_both_predictors_give_a_network_the_same_labels(peer, network, phantom_plan, phantom_dataset, tmp_path):
    """But for an untrained network's ties: nnU-Net adds up in half precision, which leaves little of a logit at the
    corners, where its Gaussian all but vanishes, and that Gaussian's centre is half a voxel off the patch's."""
    study = phantom_dataset.cases[0].images[0]
    predict_files(peer, [study], tmp_path)
    theirs, volume = load_nifti(tmp_path / study.name), load_nifti(study)
    image, way_back = prepare(volume, phantom_plan)
    ours = way_back.restore(Predictor(TorchEngine(network), phantom_plan).predict(image))
    assert np.array_equal(theirs.affine_ras, volume.affine_ras)
    assert np.bincount(ours.ravel()).max() < 0.9 * ours.size
    assert (theirs.data[0] == ours).mean() > 0.97  # 0.78 where the axes are taken for each other


def test_what_nnunet_would_prepare_in_another_way_is_not_compared(phantom_plan):
    with pytest.raises(ValueError, match="nnU-Net's network"):
        plans_of(phantom_plan, UResNetArchitecture())
    labels = (phantom_plan.labels[0], phantom_plan.labels[1].model_copy(update={"value": 7}))
    with pytest.raises(ValueError, match="labels 1, 2"):
        plans_of(phantom_plan.model_copy(update={"labels": labels}), NARROW)


def test_dice_is_counted_on_the_studies_own_grid(phantom_dataset, tmp_path):
    case = phantom_dataset.cases[0]
    volume, truth = load_case(phantom_dataset, case)
    save_labels(tmp_path / case.images[0].name, np.where(truth == 1, truth, 0), volume)
    assert mean_dice(tmp_path, [case], phantom_dataset) == {"front": 1.0, "back": 0.0}


def test_a_result_on_another_grid_is_refused(phantom_dataset, tmp_path):
    case, other = phantom_dataset.cases[:2]
    (tmp_path / case.images[0].name).write_bytes(other.label.read_bytes())
    with pytest.raises(FormatError):
        mean_dice(tmp_path, [case], phantom_dataset)


def test_the_ratio_is_that_of_studies_a_minute_in_the_middle_round():
    assert ratio([10.0, 30.0, 8.0], [1.0, 2.0, 4.0]) == 10


def test_timed_cases_come_from_all_over_the_list():
    assert spread(list(range(44)), 4) == [0, 14, 29, 43]
    assert spread(list(range(3)), 44) == [0, 1, 2]


def benchmark(*options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "benchmarks.nnunet_predict", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_without_a_package_it_says_how_to_make_one(tmp_path, phantom_dataset):
    result = benchmark("--nnunet", tmp_path / "none.scnas", "--data", phantom_dataset.root)
    assert result.returncode == 1
    assert "scnas baseline plain_conv_unet" in result.stderr


@pytest.mark.soak
def test_a_tiny_run_ends_with_its_figures_as_json(network, phantom_plan, phantom_dataset, tmp_path):
    package = tmp_path / "nnunet.scnas"
    genotype = Genotype(architecture=NARROW, provenance=Provenance(made_by="a test"))
    description = Description(
        name="nnunet",
        measured_dice=MeasuredDice(num_cases=2, fold=0, by_label={"front": 0.5, "back": 0.5}),
        training=TrainingRecord(preset="cpu", fold=0, seed=1),
    )
    images = [prepare(load_nifti(case.images[0]), phantom_plan)[0] for case in phantom_dataset.cases]
    patches = [RealPatches(np.ascontiguousarray(image[None, :, :24, :24, :24])) for image in images]
    export_package(network, at_width(genotype, 4, phantom_plan), phantom_plan, patches, description, package)
    result = benchmark("--nnunet", package, "--data", phantom_dataset.root, "--cases", 1, "--repeats", 1)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["agreement"] > 0.97
    assert figures["dice_nnunet"] == pytest.approx(figures["dice_nnunet_in_ours"], abs=0.05)
    assert all(figures[name] > 0 for name in ("studies_per_minute_ratio", "same_network_ratio", "cold_seconds"))
