import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.check import check_dataset, load_case
from scnas_deploy.data.dataset import read_dataset
from scnas_deploy.errors import FormatError
from tests.data.drawing import describe_msd, nifti_image, noise, write_msd, write_nnunet

SHAPE = (8, 9, 10)


@pytest.fixture
def copies(phantom_dataset, tmp_path):
    """Three of the phantom's cases, to be damaged."""
    ids = [case.id for case in phantom_dataset.cases[:3]]
    for case in phantom_dataset.cases[:3]:
        for path in (*case.images, case.label):
            target = tmp_path / path.relative_to(phantom_dataset.root)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
    describe_msd(tmp_path, ids)
    return tmp_path


def rewrite(root, folder, change, case_id="phantom_001"):
    """Replace a case's file by what ``change`` makes of its voxels and affine."""
    path = root / folder / f"{case_id}.nii.gz"
    image = nib.load(path)
    voxels, affine = change(np.asanyarray(image.dataobj).copy(), image.affine.copy())
    nib.save(nib.Nifti1Image(voxels, affine), path)


def check(root):
    return check_dataset(read_dataset(root))


def only_finding(report, case_id="phantom_001", fatal=True):
    (finding,) = report.findings
    assert finding.case_id == case_id
    assert finding.fatal == fatal
    assert finding.problem
    assert finding.remedy[0].isupper()
    assert report.unusable == ((case_id,) if fatal else ())
    measured = [figures.case_id for figures in report.figures]
    assert (case_id not in measured) == fatal
    assert len(measured) == (2 if fatal else 3)
    return finding


def test_a_clean_dataset_has_no_finding(copies):
    report = check(copies)
    assert report.findings == ()
    assert report.unusable == ()
    assert [figures.case_id for figures in report.figures] == ["phantom_000", "phantom_001", "phantom_002"]
    assert report.fingerprint().num_cases == 3


def test_progress_is_told(copies):
    told = []
    check_dataset(read_dataset(copies), lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_a_missing_file_is_found(copies, folder):
    (copies / folder / "phantom_001.nii.gz").unlink()
    assert f"missing {folder}/phantom_001.nii.gz" in only_finding(check(copies)).problem


def test_a_missing_file_outside_the_dataset_is_found(copies, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "label.nii.gz"
    description = json.loads((copies / "dataset.json").read_text())
    description["training"][1]["label"] = str(elsewhere)
    (copies / "dataset.json").write_text(json.dumps(description))
    (copies / "labelsTr" / "phantom_001.nii.gz").unlink()
    assert "label.nii.gz" in only_finding(check(copies)).problem


def test_a_file_of_no_case_is_a_note(copies):
    shutil.copyfile(copies / "imagesTr" / "phantom_001.nii.gz", copies / "imagesTr" / "orphan.nii.gz")
    report = check(copies)
    (finding,) = report.findings
    assert finding.case_id == "orphan.nii.gz"
    assert not finding.fatal
    assert "belongs to no listed case" in finding.problem
    assert report.unusable == ()
    assert len(report.figures) == 3


def test_a_label_of_another_shape_is_found(copies):
    rewrite(copies, "labelsTr", lambda voxels, affine: (voxels[:-1], affine))
    problem = only_finding(check(copies)).problem
    assert "shape" in problem
    assert "phantom_001.nii.gz" in problem


def moved(voxels, affine):
    affine[:3, 3] += 5
    return voxels, affine


def mirrored(voxels, affine):
    affine[:, 3] += affine[:, 0] * (voxels.shape[0] - 1)
    affine[:, 0] *= -1
    return voxels, affine


def coarser(voxels, affine):
    return voxels, affine @ np.diag([1.1, 1, 1, 1])


@pytest.mark.parametrize("change", [moved, mirrored, coarser])
def test_a_label_with_another_affine_is_found(copies, change):
    rewrite(copies, "labelsTr", change)
    problem = only_finding(check(copies)).problem
    assert "affine" in problem
    assert "mm" in problem


def test_a_foreign_label_is_found(copies):
    def foreign(voxels, affine):
        voxels[0, 0, 0] = 7
        return voxels, affine

    rewrite(copies, "labelsTr", foreign)
    problem = only_finding(check(copies)).problem
    assert "1 front, 2 back" in problem
    assert "found also 7" in problem


def test_a_negative_label_is_found(copies):
    rewrite(copies, "labelsTr", lambda voxels, affine: (-voxels.astype(np.int16), affine))
    assert "found also -2, -1" in only_finding(check(copies)).problem


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_a_label_that_is_no_whole_number_is_found(copies, value):
    def broken(voxels, affine):
        voxels = voxels.astype(np.float32)
        voxels[3, 4, 5] = value
        return voxels, affine

    rewrite(copies, "labelsTr", broken)
    finding = only_finding(check(copies))
    assert "whole numbers" in finding.problem
    assert "interpolated" in finding.remedy


def test_whole_numbers_stored_as_floats_are_labels(copies):
    expected = np.asanyarray(nib.load(copies / "labelsTr" / "phantom_001.nii.gz").dataobj)
    rewrite(copies, "labelsTr", lambda voxels, affine: (voxels.astype(np.float32), affine))
    assert check(copies).findings == ()
    dataset = read_dataset(copies)
    _, labels = load_case(dataset, dataset.case("phantom_001"))
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_found(copies, value):
    def broken(voxels, affine):
        voxels[3, 4, 5:8] = value
        return voxels, affine

    rewrite(copies, "imagesTr", broken)
    assert "found 3 NaN or infinite in channel 0" in only_finding(check(copies)).problem


@pytest.mark.parametrize("value", [0, 100])
def test_a_constant_image_is_found(copies, value):
    rewrite(copies, "imagesTr", lambda voxels, affine: (np.full_like(voxels, value), affine))
    assert f"the constant {value} in channel 0" in only_finding(check(copies)).problem


def test_an_empty_mask_is_a_note(copies):
    rewrite(copies, "labelsTr", lambda voxels, affine: (np.zeros_like(voxels), affine))
    report = check(copies)
    assert "the mask is empty" in only_finding(report, fatal=False).problem
    assert report.fingerprint().label_cases == {1: 2, 2: 2}


def test_more_channels_than_described_are_found(copies):
    rewrite(copies, "imagesTr", lambda voxels, affine: (np.stack([voxels, voxels], axis=-1), affine))
    problem = only_finding(check(copies)).problem
    assert "1 channel(s): MRI" in problem
    assert "found 2" in problem


def test_a_mask_with_channels_is_found(copies):
    """One-hot masks and stacks of raters: taking the first channel would train on another structure."""
    rewrite(copies, "labelsTr", lambda voxels, affine: (np.stack([voxels == 2, voxels == 1], -1).astype("u1"), affine))
    assert "3-D mask" in only_finding(check(copies)).problem


def test_a_damaged_image_is_found(copies):
    path = copies / "imagesTr" / "phantom_001.nii.gz"
    path.write_bytes(path.read_bytes()[:2000])
    assert "unreadable content" in only_finding(check(copies)).problem


def test_a_case_listed_twice_is_found_and_not_measured(copies):
    describe_msd(copies, ["phantom_000", "phantom_001", "phantom_002", "phantom_001"])
    finding = only_finding(check(copies))
    assert "listed twice" in finding.problem


def test_what_a_reader_had_to_decide_is_a_note(tmp_path):
    label = noise(SHAPE, np.uint8) % 3
    image = nifti_image(noise(SHAPE), np.eye(4), sform_code=0, qform_code=0)
    write_msd(tmp_path, {"a": (image, nifti_image(label, np.eye(4), sform_code=0, qform_code=0))})
    (finding,) = check(tmp_path).findings
    assert "which way the patient lies is not known" in finding.problem
    assert not finding.fatal


def test_every_problem_is_found_in_one_pass(copies):
    (copies / "labelsTr" / "phantom_000.nii.gz").unlink()
    rewrite(copies, "imagesTr", lambda voxels, affine: (voxels * 0, affine))
    rewrite(copies, "labelsTr", lambda voxels, affine: (voxels + 5, affine))
    report = check(copies)
    assert report.unusable == ("phantom_000", "phantom_001")
    assert sorted(finding.case_id for finding in report.findings) == ["phantom_000", "phantom_001", "phantom_001"]
    assert [figures.case_id for figures in report.figures] == ["phantom_002"]


def test_a_dataset_without_a_usable_case_has_no_fingerprint(tmp_path):
    write_msd(tmp_path, {"a": (nifti_image(noise(SHAPE), np.eye(4)),) * 2})
    report = check(tmp_path)
    assert report.unusable == ("a",)
    with pytest.raises(FormatError, match="at least one usable case"):
        report.fingerprint()


def test_a_missing_channel_of_nnunet_is_found(tmp_path):
    write_nnunet(tmp_path, ["A", "B"])
    (tmp_path / "imagesTr" / "B_0001.nii.gz").unlink()
    (finding,) = check(tmp_path).findings
    assert (finding.case_id, finding.problem) == ("B", "missing imagesTr/B_0001.nii.gz")


def test_a_channel_of_nnunet_on_another_grid_is_found(tmp_path):
    write_nnunet(tmp_path, ["A"])
    nib.save(nib.Nifti1Image(noise((6, 7, 9)), np.eye(4)), tmp_path / "imagesTr" / "A_0001.nii.gz")
    (finding,) = check(tmp_path).findings
    assert "in channel 2" in finding.problem


def test_files_that_do_not_belong_are_found_among_real_cases(scnas_data, hippocampus, tmp_path):
    """An image whose label is missing, a label of another shape, and one of another modality's size."""
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    good = hippocampus.cases[:2]
    for case in good:
        shutil.copyfile(case.images[0], tmp_path / "imagesTr" / case.images[0].name)
        shutil.copyfile(case.label, tmp_path / "labelsTr" / case.label.name)
    quirks = scnas_data / "hippocampus_quirks"
    shutil.copyfile(quirks / "orphan_image_hippocampus_118.nii.gz", tmp_path / "imagesTr" / "hippocampus_118.nii.gz")
    for number, case in (("010", good[0]), ("281", good[1])):
        name = f"hippocampus_{number}.nii.gz"
        shutil.copyfile(case.images[0], tmp_path / "imagesTr" / name)
        shutil.copyfile(quirks / f"orphan_label_{name}", tmp_path / "labelsTr" / name)
    names = [*(case.id for case in good), "hippocampus_118", "hippocampus_010", "hippocampus_281"]
    describe_msd(tmp_path, names)
    report = check(tmp_path)
    problems = {finding.case_id: finding.problem for finding in report.findings}
    assert report.unusable == ("hippocampus_010", "hippocampus_118", "hippocampus_281")
    assert problems["hippocampus_118"] == "missing labelsTr/hippocampus_118.nii.gz"
    assert "(36, 50, 31)" in problems["hippocampus_010"]
    assert "(512, 512, 94)" in problems["hippocampus_281"]
    assert [figures.case_id for figures in report.figures] == [case.id for case in good]


def test_labels_without_an_image_are_notes_when_unlisted(scnas_data, hippocampus, tmp_path):
    case = hippocampus.cases[0]
    for folder, path in (("imagesTr", case.images[0]), ("labelsTr", case.label)):
        (tmp_path / folder).mkdir()
        shutil.copyfile(path, tmp_path / folder / path.name)
    for path in (scnas_data / "hippocampus_quirks").glob("orphan_label*"):
        shutil.copyfile(path, tmp_path / "labelsTr" / path.name)
    describe_msd(tmp_path, [case.id])
    report = check(tmp_path)
    assert [finding.fatal for finding in report.findings] == [False, False]
    assert report.unusable == ()


def test_all_real_hippocampus_cases_are_clean(hippocampus_report):
    assert hippocampus_report.findings == ()
    assert len(hippocampus_report.figures) == 220


def test_the_four_channels_of_a_real_case_differ(sclerosis):
    volume, labels = load_case(sclerosis, sclerosis.cases[0])
    assert volume.num_channels == 4
    assert labels.shape == volume.shape
    assert set(np.unique(labels)) == {0, 1}
    assert len({channel.tobytes() for channel in volume.data}) == 4
