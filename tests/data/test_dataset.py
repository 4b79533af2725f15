import numpy as np
import pytest

from scnas_deploy.data.check import load_case
from scnas_deploy.data.dataset import read_dataset
from scnas_deploy.errors import FormatError
from tests.data.drawing import assert_explains_itself, describe_msd, noise, write_nnunet


@pytest.fixture
def msd(tmp_path):
    describe_msd(tmp_path, ["b_2", "a_1"])
    return tmp_path


def test_msd_is_read(msd):
    dataset = read_dataset(msd)
    assert (dataset.name, dataset.layout, dataset.channels) == ("Drawn", "msd", ("MRI",))
    assert dataset.labels == {1: "front", 2: "back"}
    assert [case.id for case in dataset.cases] == ["a_1", "b_2"]
    assert dataset.case("b_2").images == (msd / "imagesTr" / "b_2.nii.gz",)
    assert dataset.case("b_2").label == msd / "labelsTr" / "b_2.nii.gz"
    with pytest.raises(KeyError):
        dataset.case("c_3")


def test_nnunet_is_read(tmp_path):
    dataset = read_dataset(write_nnunet(tmp_path, ["CASE_1", "A"]))
    assert (dataset.layout, dataset.channels, dataset.labels) == ("nnunet", ("FLAIR", "T1"), {1: "lesion"})
    assert [case.id for case in dataset.cases] == ["A", "CASE_1"]
    names = [path.name for path in dataset.case("CASE_1").images]
    assert names == ["CASE_1_0000.nii.gz", "CASE_1_0001.nii.gz"]
    assert dataset.case("CASE_1").label.name == "CASE_1.nii.gz"
    assert dataset.unlisted == ()


def test_nnunets_channel_files_become_one_volume_in_order(tmp_path):
    dataset = read_dataset(write_nnunet(tmp_path, ["A"]))
    volume, labels = load_case(dataset, dataset.case("A"))
    np.testing.assert_array_equal(volume.data, np.stack([noise((6, 7, 8), seed=0), noise((6, 7, 8), seed=1)]))
    assert labels.sum() == 8


def test_the_order_of_channels_is_their_number_not_their_place_in_the_file(tmp_path):
    dataset = read_dataset(write_nnunet(tmp_path, ["A"], channel_names={"1": "T1", "0": "FLAIR"}))
    assert dataset.channels == ("FLAIR", "T1")


def test_uncompressed_nnunet_files_are_found(tmp_path):
    dataset = read_dataset(write_nnunet(tmp_path, ["A"], ending=".nii"))
    assert dataset.case("A").images[1].name == "A_0001.nii"


def test_files_of_no_case_are_unlisted(msd):
    for folder, name in (("imagesTr", "a_1.nii.gz"), ("imagesTr", "stray.nii.gz"), ("labelsTr", "other.nii")):
        (msd / folder).mkdir(exist_ok=True)
        (msd / folder / name).touch()
    (msd / "imagesTr" / "notes.txt").touch()
    (msd / "imagesTr" / "._a_1.nii.gz").touch()
    assert [path.name for path in read_dataset(msd).unlisted] == ["stray.nii.gz", "other.nii"]


@pytest.mark.parametrize(("ending", "other"), [(".nii.gz", ".nii"), (".nii", ".nii.gz")])
def test_an_nnunet_file_of_another_ending_makes_no_case(tmp_path, ending, other):
    write_nnunet(tmp_path, ["A"], ending=ending)
    (tmp_path / "imagesTr" / f"stray_0000{other}").touch()
    dataset = read_dataset(tmp_path)
    assert [case.id for case in dataset.cases] == ["A"]
    assert [path.name for path in dataset.unlisted] == [f"stray_0000{other}"]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"0": "background", "1": "a", "2": "b"}, {1: "a", 2: "b"}),
        ({"background": 0, "a": 1, "b": 2}, {1: "a", 2: "b"}),
        ({"b": 7, "a": 3, "background": 0}, {3: "a", 7: "b"}),
        ({"background": "0", "a": "1"}, {1: "a"}),
        ({"1": "a"}, {1: "a"}),
    ],
)
def test_labels_are_read_in_both_directions(msd, labels, found):
    describe_msd(msd, ["a_1"], labels=labels)
    assert list(read_dataset(msd).labels.items()) == list(found.items())


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"background": 0, "whole tumour": [1, 2], "core": 2}, id="regions"),
        pytest.param({"background": 0, "lesion": 1, "ignore": 2}, id="ignore label"),
        pytest.param({"background": 0}, id="background only"),
        pytest.param({"background": 0, "lesion": -1}, id="negative"),
        pytest.param({"background": 0, "lesion": 1.5}, id="fraction"),
        pytest.param({"background": 0, "lesion": None}, id="null"),
        pytest.param({"background": 0, "left": 1, "right": 1}, id="two names for one value"),
        pytest.param({"background": 0, "lesion": "²"}, id="superscript"),
        pytest.param(["background", "lesion"], id="a list"),
        pytest.param({}, id="empty"),
    ],
)
@pytest.mark.parametrize("layout", ["msd", "nnunet"])
def test_labels_that_are_not_one_value_each_are_refused(tmp_path, layout, labels):
    if layout == "nnunet":
        write_nnunet(tmp_path, ["A"], labels=labels)
    else:
        describe_msd(tmp_path, ["A"], labels=labels)
    with pytest.raises(FormatError) as caught:
        read_dataset(tmp_path)
    assert_explains_itself(caught.value, "dataset.json", "labels")


@pytest.mark.parametrize(
    "names",
    [{"1": "T1"}, {"0": "T1", "2": "T2"}, {"1": "T1", "2": "T2"}, {}, ["T1"], {"first": "T1"}, "T1", None],
    ids=str,
)
@pytest.mark.parametrize("layout", ["msd", "nnunet"])
def test_channels_not_numbered_from_0_are_refused(tmp_path, layout, names):
    if layout == "nnunet":
        write_nnunet(tmp_path, ["A"], channel_names=names)
    else:
        describe_msd(tmp_path, ["A"], modality=names)
    with pytest.raises(FormatError) as caught:
        read_dataset(tmp_path)
    assert_explains_itself(caught.value, "modality" if layout == "msd" else "channel_names")


@pytest.mark.parametrize(
    "training", [None, "imagesTr", {"image": "a"}, ["a.nii.gz"], [{"image": "a.nii.gz"}], []], ids=str
)
def test_a_list_of_cases_that_is_none_is_refused(msd, training):
    describe_msd(msd, [], training=training)
    with pytest.raises(FormatError) as caught:
        read_dataset(msd)
    assert_explains_itself(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfd", b'{"name": "x",}', b"[1, 2]", b"null"], ids=repr)
def test_a_damaged_description_is_refused(tmp_path, content):
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_dataset(tmp_path)
    assert_explains_itself(caught.value, "dataset.json", "JSON")


def test_a_description_of_neither_layout_is_refused(tmp_path):
    (tmp_path / "dataset.json").write_text('{"name": "x", "labels": {}}')
    with pytest.raises(FormatError) as caught:
        read_dataset(tmp_path)
    assert_explains_itself(caught.value, "modality", "channel_names", "labels, name")


def test_a_folder_without_a_description_is_refused(tmp_path):
    with pytest.raises(FormatError) as caught:
        read_dataset(tmp_path)
    assert_explains_itself(caught.value, "no dataset.json", "imagesTr")
    with pytest.raises(FormatError, match="no such folder"):
        read_dataset(tmp_path / "missing")


def test_nnunet_without_images_is_refused(tmp_path):
    write_nnunet(tmp_path, [])
    with pytest.raises(FormatError) as caught:
        read_dataset(tmp_path)
    assert_explains_itself(caught.value, "at least one training case")


def test_an_ending_that_is_no_nifti_is_refused(tmp_path):
    write_nnunet(tmp_path, ["A"], file_ending=".png")
    with pytest.raises(FormatError) as caught:
        read_dataset(tmp_path)
    assert_explains_itself(caught.value, ".png", ".nii.gz")


def test_the_real_datasets_are_what_they_say(hippocampus, sclerosis, sarcoma):
    assert len(hippocampus.cases) == 220
    assert hippocampus.labels == {1: "Anterior", 2: "Posterior"}
    assert hippocampus.unlisted == ()
    assert len(sclerosis.channels) == 4
    assert sarcoma.channels == ("CT",)
