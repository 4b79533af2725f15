"""Installed models and the default one."""

import json
import shutil


def test_one_model_is_the_default_and_of_two_one_is_chosen(scnas, exported, tmp_path, study):
    bare = json.loads(scnas("models", "--json").stdout)
    assert (bare["models"], bare["shipped"], bare["default"]) == ([], ["hippocampus"], "hippocampus")
    assert "No model in" in scnas("models").stdout
    scnas("models", "install", exported.package)
    assert json.loads(scnas("models", "--json").stdout)["default"] == "phantom"
    shutil.copy(exported.package, scnas.models / "other.scnas")
    assert json.loads(scnas("models", "--json").stdout)["default"] is None
    assert "phantom" in scnas.refused("segment", study, status=2)
    scnas("models", "default", "other")
    assert json.loads(scnas("models", "--json").stdout)["default"] == "other"
    scnas("segment", study)


def test_a_model_that_is_not_installed_cannot_be_the_default(with_model):
    assert "phantom" in with_model.refused("models", "default", "nobody", status=2)


def test_a_damaged_package_is_not_installed(scnas, exported, tmp_path):
    damaged = tmp_path / "damaged.scnas"
    damaged.write_bytes(exported.package.read_bytes()[:-100])
    scnas.refused("models", "install", damaged, status=3)
    assert not scnas.models.exists()
