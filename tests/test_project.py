from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scnas_deploy.errors import ConfigError
from scnas_deploy.project import (
    PROJECT_FILE,
    ChannelSettings,
    LabelSettings,
    PlanSettings,
    Project,
    SearchSettings,
    TrainSettings,
    load_project,
    save_project,
)

MINIMAL = 'schema = 1\nname = "Minimal"\ndataset = "data"\n'


def load(folder, text):
    (folder / PROJECT_FILE).write_text(text, encoding="utf-8")
    return load_project(folder)


def refused(folder, text, *words):
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert PROJECT_FILE in caught.value.subject
    for word in words:
        assert word in str(caught.value)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
colours = st.from_regex(r"\A#[0-9a-f]{6}\Z")
labels = st.builds(LabelSettings, name=names, color=colours, code=st.none() | st.tuples(names, names, names))
projects = st.builds(
    Project,
    name=names,
    dataset=st.just(Path("/data/Task04")),
    exclude=st.lists(names, max_size=3).map(tuple),
    labels=st.dictionaries(st.integers(1, 300), labels, max_size=3),
    channels=st.dictionaries(
        st.integers(0, 5), st.builds(ChannelSettings, name=names, normalisation=st.sampled_from(["zscore", "ct"]))
    ),
    plan=st.builds(
        PlanSettings,
        spacing_mm=st.none() | st.tuples(*[st.floats(0.01, 10)] * 3),
        patch_size=st.none() | st.tuples(*[st.integers(1, 256)] * 3),
        mirror_axes=st.sampled_from([None, (), (0,), (1, 2), (0, 1, 2)]),
        crop=st.sampled_from(["nonzero", "none"]),
        memory_gib=st.floats(0.1, 100),
    ),
    search=st.builds(SearchSettings, preset=st.sampled_from(["auto", "paper", "cpu"]), fold=st.integers(0, 4)),
    train=st.builds(TrainSettings, fold=st.integers(0, 4), seed=st.integers(0, 2**31)),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(project=projects)
def test_a_saved_project_reads_as_the_same(tmp_path, project):
    save_project(tmp_path, project)
    assert load_project(tmp_path) == project


def test_the_file_explains_itself(tmp_path):
    save_project(tmp_path, Project(name="A", dataset=Path("data")))
    text = (tmp_path / PROJECT_FILE).read_text()
    assert text.startswith("# Written by `scnas init`")
    for table in ("labels", "channels", "plan", "search", "train"):
        assert f"[{table}] # " in text


def test_a_minimal_file_has_the_documented_defaults(tmp_path):
    project = load(tmp_path, MINIMAL)
    assert project.exclude == ()
    assert project.labels == {}
    assert project.plan == PlanSettings()
    assert (project.plan.crop, project.plan.memory_gib, project.plan.mirror_axes) == ("nonzero", 16.0, None)
    assert (project.train.preset, project.train.fold, project.train.seed) == ("auto", 0, 0)


def test_a_relative_dataset_counts_from_the_project(tmp_path):
    assert load(tmp_path, MINIMAL).dataset == tmp_path / "data"


def test_an_absolute_dataset_stays(tmp_path):
    assert load(tmp_path, MINIMAL.replace('"data"', '"/elsewhere/data"')).dataset == Path("/elsewhere/data")


def test_an_explicit_choice_not_to_mirror_is_kept(tmp_path):
    assert load(tmp_path, MINIMAL + "[plan]\nmirror_axes = []\n").plan.mirror_axes == ()


def test_label_values_are_numbers(tmp_path):
    text = MINIMAL + '[labels]\n2 = {name = "spleen", color = "#00ff00", code = ["78961009", "SCT", "Spleen"]}\n'
    label = load(tmp_path, text).labels[2]
    assert label.name == "spleen"
    assert label.code == ("78961009", "SCT", "Spleen")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path)
    assert "scnas init" in caught.value.remedy
    assert "--project" in caught.value.remedy


@pytest.mark.parametrize("text", ["name = ", "schema = 1\nname = 'a'\nname = 'b'", "= 1"])
def test_damaged_toml_is_refused(tmp_path, text):
    refused(tmp_path, text, "valid TOML")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / PROJECT_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError):
        load_project(tmp_path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name = 'a'\n", "dataset"),
        (MINIMAL.replace("schema = 1", "schema = 2"), "schema"),
        (MINIMAL + "tain = 1\n", "tain"),
        (MINIMAL + "[plan]\npatch = [1, 2, 3]\n", "plan.patch"),
        (MINIMAL + "[plan]\nspacing_mm = [1.0, 0.0, 1.0]\n", "plan.spacing_mm.1"),
        (MINIMAL + "[plan]\nspacing_mm = [1.0, nan, 1.0]\n", "plan.spacing_mm.1"),
        (MINIMAL + "[plan]\nmirror_axes = [3]\n", "plan.mirror_axes.0"),
        (MINIMAL + "[plan]\nmemory_gib = 0\n", "plan.memory_gib"),
        (MINIMAL + "[plan]\ncrop = 'brain'\n", "plan.crop"),
        (MINIMAL + "[train]\nfold = 5\n", "train.fold"),
        (MINIMAL + "[search]\npreset = 'slow'\n", "search.preset"),
        (MINIMAL + "[labels]\n1 = {name = 'a', color = 'red'}\n", "labels.1.color"),
        (MINIMAL + "[labels]\none = {name = 'a', color = '#ff0000'}\n", "labels.one"),
        (MINIMAL + "[channels]\n0 = {name = 'a', normalisation = 'minmax'}\n", "channels.0.normalisation"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, place):
    refused(tmp_path, text, f"'{place}")
