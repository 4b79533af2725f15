"""A package says what it holds, holds what was proven, and is the same each time."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from scnas_deploy.errors import MissingExtraError, ParityError
from scnas_deploy.export import package as writing
from scnas_deploy.export import proof
from scnas_deploy.export.package import Description, export_package, write_package
from scnas_deploy.export.parity import LIMITS, RealPatches
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.engines.select import installed_engines
from scnas_deploy.inference.manifest import RESEARCH_USE, TrainingRecord
from scnas_deploy.inference.package import CANARY, GENOTYPE, MANIFEST, MODEL, PLAN, WEIGHTS, open_package
from tests.inference.conftest import read_members


@pytest.fixture(scope="module")
def written(exported):
    return open_package(exported.package)


def test_it_holds_these_members_and_their_digests(exported, written):
    members = read_members(exported.package)
    assert list(members) == [MANIFEST, PLAN, GENOTYPE, MODEL, WEIGHTS, CANARY]
    assert written.manifest.digests == {name: sha256_of(data) for name, data in members.items() if name != MANIFEST}


def test_writing_it_again_gives_the_same_bytes(exported, written, tmp_path):
    members = {name: data for name, data in read_members(exported.package).items() if name != MANIFEST}
    for name in ("a.scnas", "b.scnas"):
        write_package(tmp_path / name, written.manifest, members)
    assert (tmp_path / "a.scnas").read_bytes() == (tmp_path / "b.scnas").read_bytes() == exported.package.read_bytes()


def test_the_structure_is_the_genotypes_at_any_width(written, varied_genotype):
    assert written.manifest.structure_hash == varied_genotype.architecture.structure_hash
    assert written.manifest.structure_hash == varied_genotype.architecture.with_stem(48).structure_hash
    assert written.genotype.architecture.cells == varied_genotype.architecture.cells


def test_the_plan_is_the_datasets(written, phantom_plan):
    assert written.plan == phantom_plan
    assert written.manifest.dataset_fingerprint == phantom_plan.dataset_fingerprint


def test_it_says_that_it_is_for_research_only(exported, written):
    assert written.manifest.intended_use == RESEARCH_USE
    assert json.loads(read_members(exported.package)[MANIFEST])["schema"] == 1


def test_every_engine_was_proven_on_ten_patches(written):
    (artefact,) = written.manifest.artefacts
    assert artefact.file == MODEL
    assert [record.engine.split()[0] for record in artefact.parity] == list(installed_engines())
    assert {record.engine.split()[0] for record in artefact.parity} == {"openvino", "onnxruntime"}
    for record in artefact.parity:
        assert record.num_patches == 10
        assert 0 <= record.max_abs_error <= LIMITS["float32"].max_abs_error
        assert 0 <= record.max_rel_error <= 1e-2
        assert LIMITS["float32"].min_label_agreement <= record.label_agreement <= 1
        assert 0.99 <= record.label_dice <= 1


def test_the_weights_are_the_networks(exported, written):
    stored = load(read_members(exported.package)[WEIGHTS])
    state = exported.network.state_dict()
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], state[name].cpu()) for name in state)


def test_the_network_carries_no_path_of_the_machine_that_exported_it(written):
    """Folders name people, and the same network exported elsewhere must give the same bytes."""
    root = str(Path(writing.__file__).parents[2])
    for path in (root, str(Path.home()), "site-packages"):
        assert path.encode() not in written.model


def two(exported) -> list[RealPatches]:
    return [RealPatches(patches_BCXYZ) for patches_BCXYZ in exported.patches[:2]]


DESCRIPTION = Description(name="m", measured_dice=None, training=TrainingRecord(preset="cpu", fold=0, seed=0))


def test_an_export_that_computes_something_else_is_never_written(
    exported, written, network, phantom_plan, tmp_path, monkeypatch
):
    with torch.no_grad():
        next(reversed(list(network.parameters()))).add_(0.05)
    monkeypatch.setattr(writing, "export_onnx", lambda *_: written.model)
    with pytest.raises(ParityError, match=r"openvino .*found 0\.05"):
        export_package(network, written.genotype, phantom_plan, two(exported), DESCRIPTION, tmp_path / "m.scnas")
    assert not list(tmp_path.iterdir())


def test_an_export_that_no_engine_could_prove_is_never_written(
    exported, written, network, phantom_plan, tmp_path, monkeypatch
):
    monkeypatch.setattr(writing, "export_onnx", lambda *_: written.model)
    monkeypatch.setattr(proof, "installed_engines", lambda _: ())
    with pytest.raises(MissingExtraError, match=r"pip install 'scnas-deploy\[cpu\]'"):
        export_package(network, written.genotype, phantom_plan, two(exported), DESCRIPTION, tmp_path / "m.scnas")
    assert not list(tmp_path.iterdir())


def test_members_are_written_as_given_and_the_manifest_first(written, tmp_path):
    write_package(tmp_path / "m.scnas", written.manifest, {"b.bin": b"2" * 5000, "a.json": b"{}"})
    members = read_members(tmp_path / "m.scnas")
    assert list(members) == [MANIFEST, "b.bin", "a.json"]
    assert members["b.bin"] == b"2" * 5000
    assert np.frombuffer(members["a.json"], np.uint8).tolist() == [123, 125]
