"""Codes and rules are corrected without training, and nothing else is."""

import zipfile

import pytest

from scnas_deploy.data.plan import CodedTerm, SeriesRule
from scnas_deploy.errors import ConfigError
from scnas_deploy.export.amending import amend_package
from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.package import open_package
from scnas_deploy.project import ChannelSettings, LabelSettings, Project


@pytest.fixture
def project(exported, tmp_path):
    """The package's own labels and channels, with a code, a colour and a rule."""
    plan = open_package(exported.package).plan
    labels = {
        each.value: LabelSettings(name=each.name, color="#123456", code=("1", "99X", "One")) for each in plan.labels
    }
    channels = {
        index: ChannelSettings(name=each.name, normalisation="zscore", select={"Modality": "^MR$"})
        for index, each in enumerate(plan.channels)
    }
    return Project(name=plan.name, dataset=tmp_path, labels=labels, channels=channels)


def test_codes_colours_and_rules_are_the_projects(exported, project, tmp_path):
    target = tmp_path / "amended.scnas"
    amend_package(exported.package, project, target)
    plan, before = open_package(target).plan, open_package(exported.package).plan
    assert {label.code for label in plan.labels} == {CodedTerm(value="1", scheme="99X", meaning="One")}
    assert {label.color for label in plan.labels} == {"#123456"}
    assert plan.channels[0].select == (SeriesRule(attribute="Modality", matches="^MR$"),)
    kept = {"labels", "channels"}
    assert plan.model_dump(exclude=kept) == before.model_dump(exclude=kept)
    assert plan.channels[0].normalisation == before.channels[0].normalisation


def test_all_other_members_stay_as_they_were_and_the_model_still_answers(exported, project, tmp_path):
    target = tmp_path / "amended.scnas"
    amend_package(exported.package, project, target)
    with zipfile.ZipFile(exported.package) as old, zipfile.ZipFile(target) as new:
        assert [info.filename for info in old.infolist()] == [info.filename for info in new.infolist()]
        changed = {name for name in old.namelist() if old.read(name) != new.read(name)}
    assert changed == {"manifest.json", "plan.json"}
    assert load_model(target).package.digest != load_model(exported.package).package.digest


def test_other_labels_are_refused(exported, project, tmp_path):
    renamed = {value: each.model_copy(update={"name": "kidney"}) for value, each in project.labels.items()}
    with pytest.raises(ConfigError, match="kidney"):
        amend_package(exported.package, project.model_copy(update={"labels": renamed}), tmp_path / "amended.scnas")
    assert not (tmp_path / "amended.scnas").exists()
