"""scnas init: what the plan is made from, and what has no part in it."""

import json

import nibabel as nib
import numpy as np
import pytest

from demo.phantom import draw_dataset
from scnas_deploy.data.check import check_dataset
from scnas_deploy.data.dataset import read_dataset
from scnas_deploy.data.plan import load_plan
from scnas_deploy.data.planning import make_plan
from scnas_deploy.project import load_project


@pytest.fixture
def own(tmp_path):
    """A small phantom dataset, free to be damaged."""
    return draw_dataset(tmp_path / "dataset", num_cases=5, seed=3)


def edit(folder, old, new):
    text = (folder / "scnas.toml").read_text()
    assert old in text
    (folder / "scnas.toml").write_text(text.replace(old, new))


def test_the_plan_follows_from_the_fingerprint_and_the_project_file(scnas, own):
    said = json.loads(scnas("init", own, "--json").stdout)
    dataset, settings = read_dataset(own), load_project(scnas.folder)
    assert load_plan(scnas.folder / "plan.json") == make_plan(dataset, check_dataset(dataset).fingerprint(), settings)
    assert said["plan"] == json.loads((scnas.folder / "plan.json").read_text())
    assert said["fingerprint"]["num_cases"] == 5


def test_overrides_in_the_project_file_decide(scnas, own):
    scnas("init", own)
    edit(scnas.folder, 'crop = "nonzero"', 'crop = "none"\npatch_size = [24, 32, 24]')
    scnas("init")
    plan = load_plan(scnas.folder / "plan.json")
    assert (plan.crop, plan.patch_size) == ("none", (24, 32, 24))


def test_a_truncated_case_that_was_left_out_stays_out(scnas, own):
    path = own / "imagesTr" / "phantom_002.nii.gz"
    path.write_bytes(path.read_bytes()[:2000])
    assert "1 of 5 cases with errors" in scnas.refused("init", own, status=3)
    assert json.loads(scnas("init", own, "--skip-bad", "--json").stdout)["fingerprint"]["num_cases"] == 4
    scnas("init")
    assert load_project(scnas.folder).exclude == ("phantom_002",)


def test_a_case_that_the_user_excludes_has_no_part_in_the_plan(scnas, own):
    """An outlier left out must not widen what the model accepts."""
    for folder in ("imagesTr", "labelsTr"):
        path = own / folder / "phantom_001.nii.gz"
        nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), np.diag([5.0, 5, 5, 1])), path)
    scnas("init", own)
    assert load_plan(scnas.folder / "plan.json").limits.spacing_mm[0][1] == pytest.approx(7.5)
    edit(scnas.folder, "exclude = []", 'exclude = ["phantom_001"]')
    assert json.loads(scnas("init", "--json").stdout)["fingerprint"]["num_cases"] == 4
    assert load_project(scnas.folder).exclude == ("phantom_001",)
    assert load_plan(scnas.folder / "plan.json").limits.spacing_mm[0][1] == pytest.approx(1.5)


def test_a_dataset_without_one_usable_case_is_refused_even_with_skip_bad(scnas, own):
    for path in (own / "imagesTr").iterdir():
        path.write_bytes(b"nothing")
    assert "at least one usable case" in scnas.refused("init", own, "--skip-bad", status=3)


@pytest.mark.parametrize(("folder", "found"), [("gone", "no such folder"), (".", "no dataset.json")])
def test_a_folder_that_is_no_dataset_is_refused(folder, found, scnas):
    assert f"found {found}" in scnas.refused("init", folder, status=3)
