"""scnas init: a checked dataset, a project file that stays the user's, a plan."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.plan import load_plan


@pytest.fixture
def copied(phantom_dataset, tmp_path):
    return shutil.copytree(phantom_dataset.root, tmp_path / "copied")


def test_it_writes_the_project_file_and_the_plan(scnas, phantom_dataset):
    result = scnas("init", phantom_dataset.root)
    assert "10 cases, msd layout" in result.stdout
    plan = load_plan(scnas.folder / "plan.json")
    assert [label.name for label in plan.labels] == ["front", "back"]
    assert all(size % 8 == 0 for size in plan.patch_size)
    assert json.loads(scnas("init", "--json").stdout)["plan"]["schema"] == 1


def test_run_again_it_keeps_what_the_user_wrote(scnas, phantom_dataset):
    scnas("init", phantom_dataset.root)
    path = scnas.folder / "scnas.toml"
    path.write_text(path.read_text().replace("#e6194b", "#123456").replace('"front"', '"left part"'))
    scnas("init")
    plan = load_plan(scnas.folder / "plan.json")
    assert plan.labels[0].color == "#123456"
    assert plan.mirror_axes == (1, 2)
    assert "#123456" in path.read_text()


def test_a_bad_case_is_refused_by_name_or_left_out_openly(scnas, copied):
    (copied / "labelsTr" / "phantom_003.nii.gz").unlink()
    path = copied / "imagesTr" / "phantom_005.nii.gz"
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj).copy()
    voxels[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(voxels, image.affine), path)
    result = scnas("init", copied, status=3)
    assert "error: phantom_003: missing labelsTr/phantom_003.nii.gz" in result.stderr
    assert "error: phantom_005: expected finite voxels, found 1 NaN" in result.stderr
    assert "--skip-bad" in result.stderr.splitlines()[-1]
    assert not (scnas.folder / "scnas.toml").exists()
    scnas("init", copied, "--skip-bad")
    assert 'exclude = ["phantom_003", "phantom_005"]' in (scnas.folder / "scnas.toml").read_text()


def test_without_a_dataset_or_outside_a_project(scnas):
    assert "scnas init DATASET" in scnas.refused("init", status=2)
    for command in ("search", "train", "evaluate", "export"):
        assert "scnas init" in scnas.refused(command, status=2)


def test_a_project_file_with_a_mistake_is_named(scnas, phantom_dataset):
    scnas("init", phantom_dataset.root)
    path = scnas.folder / "scnas.toml"
    path.write_text(path.read_text().replace("memory_gib = ", "memory_gb = "))
    assert "plan.memory_gb" in scnas.refused("init", status=2)
    path.write_text("name = [")
    assert "valid TOML" in scnas.refused("search", status=2)


def test_a_patch_that_does_not_divide_is_refused(scnas, phantom_dataset):
    scnas("init", phantom_dataset.root)
    path = scnas.folder / "scnas.toml"
    path.write_text(path.read_text().replace("memory_gib = ", "patch_size = [30, 32, 32]\nmemory_gib = "))
    assert "multiples of 8" in scnas("init", status=2).stderr


def test_another_dataset_does_not_replace_a_project(scnas, phantom_dataset, copied):
    scnas("init", phantom_dataset.root)
    before = (scnas.folder / "scnas.toml").read_text()
    assert "Use another working folder" in scnas.refused("init", copied, status=2)
    assert (scnas.folder / "scnas.toml").read_text() == before
