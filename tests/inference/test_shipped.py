"""The model that comes with the package is what its card says, and is used where nothing is installed."""

import json
from pathlib import Path

import pytest

import scnas_deploy
from scnas_deploy.data.dataset import read_dataset
from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.models import user_models
from scnas_deploy.inference.package import WEIGHTS, open_package
from scnas_deploy.networks.genotype import load_genotype, whole_multiple
from scnas_deploy.training.evaluation import Evaluator
from scnas_deploy.training.folds import fold_split

SHIPPED = Path(scnas_deploy.__file__).parent / "shipped"
MODELS = sorted(SHIPPED.glob("*.scnas"))


@pytest.mark.parametrize("package", MODELS, ids=lambda path: path.stem)
def test_each_model_is_small_and_has_a_genotype_and_a_card(package):
    assert package.stat().st_size <= 5e6
    opened = open_package(package)
    genotype = load_genotype(package.with_suffix(".genotype.json"))
    assert opened.genotype == genotype
    assert genotype.provenance.made_by == "scnas search"
    assert genotype.provenance.fold == opened.manifest.training.fold
    assert WEIGHTS not in opened.manifest.digests
    card = package.with_suffix(".md").read_text()
    for heading in ("Intended use", "Not for", "Data and licence", "Measured", "How it was made"):
        assert f"## {heading}" in card
    for dice in opened.manifest.measured_dice.by_label.values():
        assert f"{dice:.4f}" in card
    assert f"{genotype.num_parameters:,} parameters" in card


def test_nothing_else_installed_it_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("SCNAS_MODELS", str(tmp_path / "models"))
    assert user_models().resolve(None) == SHIPPED / "hippocampus.scnas"


def test_it_segments_the_held_out_cases_as_well_as_its_card_says(scnas_data):
    dataset = read_dataset(scnas_data / "Task04_Hippocampus")
    model = load_model(SHIPPED / "hippocampus.scnas")
    manifest = model.package.manifest
    held_out = fold_split([case.id for case in dataset.cases], manifest.training.fold).validation
    whole = whole_multiple(model.package.genotype.architecture)
    evaluator = Evaluator(dataset, model.package.plan, model.engine, manifest.name, whole_multiple=whole)
    result = evaluator.evaluate(held_out, fold=manifest.training.fold)
    assert len(result.cases) == manifest.measured_dice.num_cases == 44
    assert result.mean_foreground() >= 0.86
    for label, dice in result.mean_dice().items():
        assert dice == pytest.approx(manifest.measured_dice.by_label[label], abs=1e-3)


def test_from_the_shell_it_needs_no_name(scnas_data, tmp_path, monkeypatch):
    monkeypatch.setenv("SCNAS_MODELS", str(tmp_path / "models"))
    study = scnas_data / "Task04_Hippocampus" / "imagesTr" / "hippocampus_003.nii.gz"
    result = scnas_deploy.segment(scnas_deploy.load_volume(study))
    assert result.model_name == "hippocampus"
    assert set(result.volumes_ml()) == {"Anterior", "Posterior"}
    assert 0.5 < sum(result.volumes_ml().values()) < 10
    assert json.loads((SHIPPED / "hippocampus.genotype.json").read_text())["schema"] == 1
