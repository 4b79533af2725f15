"""A package says what it holds, holds what was proven, and is the same each time."""

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load

from scnas_deploy.errors import MissingExtraError, ParityError
from scnas_deploy.export import package as writing
from scnas_deploy.export import proof
from scnas_deploy.export.package import Description, ExportOptions, export_package, write_package
from scnas_deploy.export.parity import LIMITS, RealPatches
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.canary_limits import limits_of
from scnas_deploy.inference.engines.select import installed_engines
from scnas_deploy.inference.manifest import RESEARCH_USE, TrainingRecord
from scnas_deploy.inference.package import CANARY, GENOTYPE, MANIFEST, MODEL, MODELS, PLAN, WEIGHTS, open_package
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


@pytest.fixture(scope="module")
def precise(in_all_precisions):
    return open_package(in_all_precisions.package)


def test_a_package_in_all_precisions_holds_a_network_of_each(in_all_precisions, precise):
    assert list(read_members(in_all_precisions.package)) == [MANIFEST, PLAN, GENOTYPE, *MODELS.values(), CANARY]
    assert [(artefact.precision, artefact.file) for artefact in precise.manifest.artefacts] == list(MODELS.items())
    assert len(precise.models["float16"]) < 0.8 * len(precise.model)
    assert len(precise.models["int8"]) < 0.8 * len(precise.model)


def test_each_precision_was_proven_in_the_engines_that_run_it(precise):
    provers = {
        artefact.precision: [record.engine.split()[0] for record in artefact.parity]
        for artefact in precise.manifest.artefacts
    }
    assert provers == {"float32": ["openvino", "onnxruntime"], "float16": ["onnxruntime"], "int8": ["openvino"]}


@pytest.mark.parametrize(("precision", "agreement"), [("float32", 0.9999), ("float16", 0.999), ("int8", 0.99)])
def test_the_manifest_says_how_far_each_precision_is_off(precision, agreement, precise):
    artefact = precise.artefact(precision)
    for record in artefact.parity:
        assert record.num_patches == 10
        assert agreement <= record.label_agreement <= 1
        assert record.dice_loss <= 0.005
    assert 0 < artefact.canary.max_abs_error < limits_of(precision, precise.canary).max_abs_error
    assert 0.95 < artefact.canary.label_agreement <= 1
    assert (precision == "float32") == (artefact.parity[0].max_abs_error < 1e-3)


def overflowing(model: bytes) -> bytes:
    """The same network, but what its first convolution answers lies beyond half precision; the norm divides it out."""
    proto = onnx.load_from_string(model)
    (stem,) = (weight for weight in proto.graph.initializer if weight.name == "stem.0.weight")
    stem.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(stem) * np.float32(1e6), stem.name))
    return proto.SerializeToString()


def spoil(precise, monkeypatch, model: bytes) -> None:
    """The exporter answers this network, and the canary is known."""
    monkeypatch.setattr(writing, "export_onnx", lambda *_: model)
    monkeypatch.setattr(writing, "make_canary", lambda *_: precise.canary)


def test_half_precision_that_overflows_leaves_nothing(in_all_precisions, precise, phantom_plan, tmp_path, monkeypatch):
    spoil(precise, monkeypatch, overflowing(precise.model))
    network = copy.deepcopy(in_all_precisions.network)
    target = tmp_path / "m.scnas"
    export = (network, precise.genotype, phantom_plan, in_all_precisions.patches[:3], DESCRIPTION, target)
    with pytest.raises(
        ParityError,
        match=r"onnxruntime [\d.]+, float16: expected logits within 5% of the largest and 99\.90% equal labels",
    ):
        export_package(*export, ExportOptions(half=True))
    assert not list(tmp_path.iterdir())
    export_package(*export)  # in float32 it is the same network


def speck(patches_BCXYZ: np.ndarray) -> np.ndarray:
    """One voxel that outshines all states there really are."""
    patches = np.zeros_like(patches_BCXYZ)
    patches[..., 12, 12, 12] = 1
    return patches


GARBAGE = {"nothing": np.zeros_like, "a speck": speck}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_eight_bits_calibrated_on_garbage_leave_nothing(
    garbage, in_all_precisions, precise, phantom_plan, tmp_path, monkeypatch
):
    spoil(precise, monkeypatch, precise.model)
    network = copy.deepcopy(in_all_precisions.network)
    target = tmp_path / "m.scnas"
    export = (network, precise.genotype, phantom_plan, in_all_precisions.patches[:3], DESCRIPTION, target)
    patches = [GARBAGE[garbage](real.patches_BCXYZ) for real in in_all_precisions.patches[:3]]
    with pytest.raises(
        ParityError, match=r"openvino [\d.]+, int8: .*99\.00% equal labels and a Dice lower by at most 0\.005"
    ):
        export_package(*export, ExportOptions(calibration=patches))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("lacking", "missing"), [("float16", "onnxruntime"), ("int8", "openvino")])
def test_a_precision_that_no_engine_here_runs_is_refused_before_the_work(
    lacking, missing, in_all_precisions, precise, phantom_plan, tmp_path, monkeypatch
):
    monkeypatch.setattr(proof, "installed_engines", lambda precision: () if precision == lacking else ("openvino",))
    monkeypatch.setattr(writing, "make_canary", lambda *_: pytest.fail("worked"))
    options = ExportOptions(half=True, calibration=[in_all_precisions.patches[0].patches_BCXYZ])
    export = (in_all_precisions.network, precise.genotype, phantom_plan, [], DESCRIPTION, tmp_path / "m.scnas")
    with pytest.raises(MissingExtraError, match=rf"{lacking} export: expected the Python package '{missing}'"):
        export_package(*export, options)


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
