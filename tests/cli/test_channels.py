"""Four real channels (FLAIR, T1, T1 with contrast, T2): how the files hold them changes nothing."""

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.check import check_dataset, load_case
from scnas_deploy.data.dataset import read_dataset
from scnas_deploy.data.planning import default_channels, default_labels, make_plan
from scnas_deploy.data.preprocess import prepare
from scnas_deploy.export.package import Description, export_package
from scnas_deploy.export.parity import RealPatches
from scnas_deploy.inference.manifest import MeasuredDice, TrainingRecord
from scnas_deploy.networks.genotype import NUM_EDGES, Operation
from scnas_deploy.project import PlanSettings, Project
from scnas_deploy.training.run import at_width, build_network
from tests.conftest import make_genotype

SIZE = 32


@pytest.fixture
def package(scnas_data, tmp_path):
    """An untrained network on the plan of four channels; one convolution a node keeps its export short."""
    first_edges = {0, 2, 5, 9}
    genotype = make_genotype(
        tuple(Operation.CONV if edge in first_edges else Operation.ZERO for edge in range(NUM_EDGES))
    )
    dataset = read_dataset(scnas_data / "TaskMS4")
    labels, channels = default_labels(dataset), default_channels(dataset)
    settings = PlanSettings(patch_size=(SIZE, SIZE, SIZE))
    project = Project(name="MS4", dataset=dataset.root, labels=labels, channels=channels, plan=settings)
    plan = make_plan(dataset, check_dataset(dataset).fingerprint(), project)
    image, _ = prepare(load_case(dataset, dataset.cases[0])[0], plan)
    patches = [
        RealPatches(np.ascontiguousarray(image[None, :, n : n + SIZE, 40 : 40 + SIZE, 40 : 40 + SIZE]))
        for n in range(0, 100, 10)
    ]
    network = build_network(genotype.architecture, plan, seed=2).eval()
    description = Description(
        name="ms4",
        measured_dice=MeasuredDice(num_cases=1, fold=0, by_label={"lesion": 0.0}),
        training=TrainingRecord(preset="cpu", fold=0, seed=2),
    )
    target = tmp_path / "ms4.scnas"
    export_package(network, at_width(genotype, 4, plan), plan, patches, description, target)
    return target


def test_four_channels_in_one_file_or_in_four_give_the_same_labels(scnas, scnas_data, package, tmp_path):
    study = scnas_data / "TaskMS4" / "imagesTr" / "ms_patient07.nii.gz"
    image = nib.load(study).slicer[60:108, 80:128, 60:108]  # the middle of the head is enough
    nib.save(image, tmp_path / "channels.nii.gz")
    channels = [tmp_path / f"channel_{number}.nii" for number in range(4)]
    for number, path in enumerate(channels):
        nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj)[..., number], image.affine), path)
    scnas("segment", tmp_path / "channels.nii.gz", "-m", package, "-o", tmp_path / "one.nii.gz", "--force")
    scnas("segment", *channels, "-m", package, "-o", tmp_path / "four.nii.gz", "--force")
    one, four = (np.asanyarray(nib.load(tmp_path / name).dataobj) for name in ("one.nii.gz", "four.nii.gz"))
    assert len(np.unique(one)) == 2
    np.testing.assert_array_equal(one, four)
