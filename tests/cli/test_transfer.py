"""A genotype of one task trains on another: other channels, classes and spacing."""

import json

import pytest

from scnas_deploy.networks.genotype import load_genotype

BRIEFLY = ("--epochs", "1", "--steps-per-epoch", "1")


@pytest.fixture
def found(tmp_path, varied_genotype):
    """A genotype that says it was found on another dataset."""
    elsewhere = varied_genotype.provenance.model_copy(update={"dataset_fingerprint": "0" * 64})
    varied_genotype.model_copy(update={"provenance": elsewhere}).save(tmp_path / "found.json")
    return tmp_path / "found.json"


def with_small_patches(scnas, dataset, patch_size):
    """A project as a user has it who has edited the plan."""
    scnas("init", dataset)
    toml = scnas.folder / "scnas.toml"
    toml.write_text(toml.read_text().replace("memory_gib =", f"patch_size = {list(patch_size)}\nmemory_gib ="))


@pytest.mark.soak
def test_an_anisotropic_ct_task_takes_a_genotype_found_elsewhere(scnas, scnas_data, found):
    with_small_patches(scnas, scnas_data / "TaskSTS_CT", (48, 48, 24))
    result = scnas("transfer", found, scnas_data / "TaskSTS_CT", *BRIEFLY)
    assert "this is a transfer" in result.stderr
    plan = json.loads((scnas.folder / "plan.json").read_text())
    assert max(plan["spacing_mm"]) / min(plan["spacing_mm"]) > 3
    trained = load_genotype(scnas.folder / "runs" / "train" / "genotype.json")
    assert trained.architecture.structure_hash == load_genotype(found).architecture.structure_hash
    assert trained.provenance == load_genotype(found).provenance


@pytest.mark.soak
def test_several_processes_plan_once_and_train_together(scnas, phantom_dataset, found, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with_small_patches(scnas, phantom_dataset.root, (24, 24, 24))
    result = scnas("transfer", found, phantom_dataset.root, "--preset", "cpu", "--gpus", "2", *BRIEFLY)
    assert result.stderr.count("this is a transfer") == 1
    assert result.stdout.count("Next: scnas search") == 1
    assert result.stdout.count("Next: scnas evaluate") == 1
    ledger = json.loads((scnas.folder / "runs" / "train" / "ledger.json").read_text())
    assert ledger["sittings"][0]["num_processes"] == 2


def test_a_damaged_genotype_is_refused_before_anything_is_planned(scnas, phantom_dataset, tmp_path):
    (tmp_path / "found.json").write_text("{}")
    assert "genotype" in scnas.refused("transfer", tmp_path / "found.json", phantom_dataset.root, status=3)
    assert not (scnas.folder / "scnas.toml").exists()
