"""A model repository holds what the package holds, one version a network, and is never seen half-written."""

import os
from dataclasses import replace
from hashlib import sha256

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from scnas_deploy.errors import ConfigError, FormatError, OutputError
from scnas_deploy.inference import triton_repository
from scnas_deploy.inference.package import MODEL, open_package
from scnas_deploy.inference.triton_config import Serving
from scnas_deploy.inference.triton_repository import CONFIG, RECORD, WrittenModel, write_repository
from tests.drawing.test_genotype import FOUND as WHOLE
from tests.inference.conftest import SHIPPED, negated, rewrite


@pytest.fixture(scope="module")
def package():
    return open_package(SHIPPED)


@pytest.fixture(scope="module")
def other(package, tmp_path_factory):
    """Another network for the same patches."""
    target = tmp_path_factory.mktemp("other") / "other.scnas"
    return open_package(rewrite(SHIPPED, target, members={MODEL: negated(package.model)}))


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "models" / "repository"


def config_of(repository, name="hippocampus") -> ModelConfig:
    return text_format.Parse((repository / name / CONFIG).read_text(), ModelConfig())


def facts_of(repository) -> dict[str, str]:
    return {key: value.string_value for key, value in config_of(repository).parameters.items()}


def files_in(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_new_model_is_version_1_with_the_packages_bytes(repository, package):
    assert write_repository(repository, package) == WrittenModel(name="hippocampus", version=1, added=True)
    model = repository / "hippocampus"
    assert files_in(repository.parent) == {
        f"repository/hippocampus/{file}" for file in (CONFIG, "1/model.onnx", f"1/{RECORD}")
    }
    assert (model / "1" / "model.onnx").read_bytes() == package.model


def test_the_configuration_says_what_goes_in_and_out_and_how_it_is_served(repository, package):
    write_repository(repository, package)
    config = config_of(repository)
    assert (config.name, config.platform, config.max_batch_size) == ("hippocampus", "onnxruntime_onnx", 8)
    assert [(each.name, list(each.dims)) for each in config.input] == [("image", [1, 40, 56, 40])]
    assert [(each.name, list(each.dims)) for each in config.output] == [("logits", [3, 40, 56, 40])]
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert [(each.kind, each.count) for each in config.instance_group] == [(ModelInstanceGroup.KIND_AUTO, 1)]
    assert [(each.batch_size, list(each.inputs["image"].dims)) for each in config.model_warmup] == [
        (1, [1, 40, 56, 40]),
        (8, [1, 40, 56, 40]),
    ]


def test_it_says_which_network_it_is(repository, package):
    write_repository(repository, package)
    assert facts_of(repository) == {
        "scnas_onnx_sha256.1": sha256(package.model).hexdigest(),
        "scnas_model_digest.1": package.digest,
        "scnas_precision.1": "float32",
    }


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_settings_of_a_new_model(repository, package, device):
    serving = Serving(name="mine", max_batch_size=1, queue_delay_us=7, instances=3, device=device)
    assert write_repository(repository, package, serving).name == "mine"
    config = config_of(repository, "mine")
    assert (config.name, config.max_batch_size) == ("mine", 1)
    assert list(config.dynamic_batching.preferred_batch_size) == [1]
    assert config.dynamic_batching.max_queue_delay_microseconds == 7
    group = config.instance_group[0]
    assert (ModelInstanceGroup.Kind.Name(group.kind), group.count) == (f"KIND_{device.upper()}", 3)
    assert [each.batch_size for each in config.model_warmup] == [1]


def test_a_network_that_takes_whole_volumes_takes_them_one_by_one_in_any_size(repository, package):
    genotype = package.genotype.model_copy(update={"architecture": WHOLE})
    write_repository(repository, replace(package, genotype=genotype))
    config = config_of(repository)
    assert list(config.input[0].dims) == [1, -1, -1, -1]
    assert list(config.output[0].dims) == [3, -1, -1, -1]
    assert config.max_batch_size == 1
    assert [list(each.inputs["image"].dims) for each in config.model_warmup] == [[1, 40, 56, 40]]


def test_a_plan_is_served_on_gpus_and_keeps_the_digest_of_its_onnx_file(repository, package):
    write_repository(repository, package, plan=b"a plan")
    assert (repository / "hippocampus" / "1" / "model.plan").read_bytes() == b"a plan"
    config = config_of(repository)
    assert config.platform == "tensorrt_plan"
    assert config.instance_group[0].kind == ModelInstanceGroup.KIND_GPU
    assert facts_of(repository)["scnas_onnx_sha256.1"] == sha256(package.model).hexdigest()


def test_a_plan_built_anew_is_the_next_version(repository, package):
    """After an update of TensorRT, or for another GPU: the network is the same, the one before cannot be loaded."""
    plans = [b"a plan", b"a plan", b"a plan of another GPU"]
    written = [write_repository(repository, package, plan=plan) for plan in plans]
    assert [(each.version, each.added) for each in written] == [(1, True), (1, False), (2, True)]
    assert (repository / "hippocampus" / "2" / "model.plan").read_bytes() == plans[2]


def test_the_same_network_again_changes_nothing(repository, package):
    write_repository(repository, package)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in repository.rglob("*")}
    assert write_repository(repository, package) == WrittenModel(name="hippocampus", version=1, added=False)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in repository.rglob("*")} == before


def test_another_network_is_the_next_version_and_going_back_the_one_after(repository, package, other):
    packages = [package, other, package]
    assert [write_repository(repository, each).version for each in packages] == [1, 2, 3]
    for version, each in enumerate(packages, 1):
        assert (repository / "hippocampus" / str(version) / "model.onnx").read_bytes() == each.model
        assert facts_of(repository)[f"scnas_onnx_sha256.{version}"] == sha256(each.model).hexdigest()
    assert config_of(repository).version_policy.latest.num_versions == 2


def test_what_a_person_has_edited_stays_when_a_version_is_added(repository, package, other):
    write_repository(repository, package)
    config = repository / "hippocampus" / CONFIG
    config.write_text("# our second GPU\n" + config.read_text().replace("count: 1", "count: 5"))
    write_repository(repository, other)
    assert config.read_text().startswith("# our second GPU\n")
    assert config_of(repository).instance_group[0].count == 5
    assert len(facts_of(repository)) == 6


def test_the_configuration_names_a_version_before_it_is_there(repository, package, other, monkeypatch):
    """A server that looks in between takes no network for an unknown one."""
    write_repository(repository, package)

    def look(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(triton_repository, "_write_version", look)
    with pytest.raises(KeyboardInterrupt):
        write_repository(repository, other)
    assert "scnas_onnx_sha256.2" in facts_of(repository)
    assert {path.name for path in (repository / "hippocampus").iterdir()} == {"1", CONFIG}
    monkeypatch.undo()
    assert write_repository(repository, other).version == 2


def test_a_new_model_is_put_together_outside_of_the_repository(repository, package, monkeypatch):
    seen = []
    write = triton_repository._write_version

    def look(version, network, data):
        write(version, network, data)
        seen.append(list(repository.iterdir()))

    monkeypatch.setattr(triton_repository, "_write_version", look)
    write_repository(repository, package)
    assert seen == [[]]
    assert list(repository.parent.iterdir()) == [repository]


def test_a_full_disk_leaves_no_model(package, small_disk):
    with pytest.raises(OutputError, match="space"):
        write_repository(small_disk / "repository", package)
    assert files_in(small_disk) == set()
    assert list((small_disk / "repository").iterdir()) == []


def test_a_repository_that_is_a_mounted_disk_of_its_own(package, small_disk):
    """Nothing can be renamed into it from beside it."""
    with pytest.raises(OutputError, match="space"):
        write_repository(small_disk, package)
    assert list(small_disk.iterdir()) == []


def test_a_repository_beside_which_nothing_can_be_written(repository, package, monkeypatch):
    """As a folder of the user's own in one of the administrator's; tests run as root, to whom all is allowed."""
    repository.mkdir(parents=True)
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != repository.parent.resolve() and allowed(path, mode))
    seen = []
    write = triton_repository._write_version

    def look(version, network, data):
        write(version, network, data)
        seen.append(list(repository.parent.iterdir()))

    monkeypatch.setattr(triton_repository, "_write_version", look)
    write_repository(repository, package)
    assert seen == [[repository]]
    assert files_in(repository) == {"hippocampus/1/model.onnx", "hippocampus/1/scnas.json", "hippocampus/config.pbtxt"}


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "liver tumour", 'a"b', "ä"])
def test_names_that_a_server_or_a_folder_cannot_take_are_refused(repository, package, name):
    with pytest.raises(ConfigError, match="--as: expected a model name of letters, digits and"):
        write_repository(repository, package, Serving(name=name))
    assert not repository.exists()


def test_a_precision_that_the_package_lacks_is_refused(repository, package):
    exact = replace(package, models={"float32": package.model})
    with pytest.raises(ConfigError, match="expected one of the package's, float32, found 'float16'"):
        write_repository(repository, exact, Serving(precision="float16"))


def test_a_network_for_other_patches_is_refused_under_the_same_name(repository, package):
    write_repository(repository, package)
    larger = replace(
        package,
        plan=package.plan.model_copy(update={"patch_size": (64, 64, 64)}),
        models={"float32": package.model + b"\0"},
    )
    with pytest.raises(ConfigError, match=r"patch_size \(40, 56, 40\), found \(64, 64, 64\)\. .*--as"):
        write_repository(repository, larger)


def test_a_model_that_someone_else_wrote_is_left_alone(repository, package, other):
    (repository / "hippocampus" / "1").mkdir(parents=True)
    (repository / "hippocampus" / "1" / "model.onnx").write_bytes(b"theirs")
    with pytest.raises(ConfigError, match="one that scnas export has written"):
        write_repository(repository, package)
    assert files_in(repository) == {"hippocampus/1/model.onnx"}


def test_a_configuration_whose_last_part_is_gone_is_not_guessed_at(repository, package, other):
    write_repository(repository, package)
    config = repository / "hippocampus" / CONFIG
    config.write_text(config.read_text().partition("#")[0])
    with pytest.raises(ConfigError, match="whose last part was edited"):
        write_repository(repository, other)
    assert not (repository / "hippocampus" / "2").exists()


def test_a_damaged_record_is_named(repository, package):
    write_repository(repository, package)
    (repository / "hippocampus" / "1" / RECORD).write_text("{}")
    with pytest.raises(FormatError, match=r"scnas\.json: expected ServedVersion schema 1"):
        write_repository(repository, package)
