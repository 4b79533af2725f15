"""The engine that is taken, and why."""

import logging
import sys

import pytest

from scnas_deploy.errors import ConfigError, EngineError, MissingExtraError
from scnas_deploy.inference.engines import select
from scnas_deploy.inference.engines.select import ENGINE_NAMES, installed_engines, open_engine, usable_precisions
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.package import open_package
from tests.inference.conftest import EngineFake, constant_logits
from tests.inference.tensorrt.cuda_fake import CudaFake
from tests.inference.tensorrt.tensorrt_fake import fake_gpu

INPUTS = InputRange(least=(1, 1, 24, 24, 24), usual=(4, 1, 24, 24, 24), most=(4, 1, 24, 24, 24))


@pytest.fixture(scope="module")
def network(exported) -> dict:
    return open_package(exported.package).models


@pytest.fixture
def install_only(monkeypatch):
    """Pretend that of the engines' libraries only these are installed."""

    def pretend(*names):
        monkeypatch.setattr(select, "find_spec", lambda name: object() if name in names else None)
        for name in {"openvino", "onnxruntime"} - set(names):
            monkeypatch.setitem(sys.modules, name, None)

    return pretend


def test_the_choices_are_these():
    engines = ("tensorrt", "onnxruntime-cuda", "openvino", "onnxruntime", "onnxruntime-tensorrt")
    assert ("auto", *engines) == ENGINE_NAMES


def test_openvino_is_taken_where_both_are_installed(network):
    assert installed_engines() == ("openvino", "onnxruntime")
    opened = open_engine(network)
    assert opened.engine.name.startswith("openvino ")
    assert opened.reason == "the fastest of those that run here (openvino, onnxruntime)"


def test_the_other_engine_is_taken_where_it_is_the_only_one(network, install_only):
    install_only("onnxruntime")
    opened = open_engine(network)
    assert opened.engine.name.startswith("onnxruntime ")
    assert opened.reason == "the fastest of those that run here (onnxruntime)"


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_that_is_asked_for_is_taken(name, network):
    opened = open_engine(network, name)
    assert opened.engine.name.startswith(f"{name} ")
    assert opened.reason == "asked for"


@pytest.mark.parametrize("name", ["abacus", "", "OpenVINO", "auto ", "http://host:8001/model"])
def test_an_unknown_engine_is_refused_with_the_choices(name, network):
    with pytest.raises(ConfigError, match=r"--engine: expected one of auto, tensorrt, .* or triton://HOST:PORT/MODEL"):
        open_engine(network, name)


def test_where_no_engine_is_installed_the_command_to_install_one_is_named(network, install_only):
    install_only()
    assert installed_engines() == ()
    with pytest.raises(MissingExtraError, match=r"pip install 'scnas-deploy\[cpu\]'"):
        open_engine(network)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_that_is_asked_for_but_not_installed_is_never_replaced(name, network, install_only):
    install_only(*{"openvino", "onnxruntime"} - {name})
    with pytest.raises(MissingExtraError, match=rf"the Python package '{name}'.*pip install 'scnas-deploy\[cpu\]'"):
        open_engine(network, name)


def test_of_a_packages_precisions_each_engine_names_those_that_it_runs(network):
    assert usable_precisions("openvino", network) == ("float32",)
    assert usable_precisions("onnxruntime", {}) == ()
    assert usable_precisions("abacus", network) == ()


def test_a_network_that_no_engine_loads_is_the_last_engines_error(caplog):
    with pytest.raises(EngineError, match=r"^onnxruntime "):
        open_engine({"float32": b"not a network"})
    assert "The engine openvino cannot be used, onnxruntime is tried next" in caplog.text


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A fake GPU with a fake TensorRT, and a fake engine for ONNX Runtime's CUDA provider."""
    monkeypatch.setenv("SCNAS_CACHE", str(tmp_path))
    monkeypatch.setattr(select, "has_provider", lambda provider: provider == "cuda")
    cuda = select.EngineKind(
        open=lambda model, **_: EngineFake(constant_logits(1, 0, 0)),
        module="onnxruntime",
        extra="gpu",
        precisions=("float16", "float32"),
        on_gpu=True,
    )
    monkeypatch.setitem(select._KINDS, "onnxruntime-cuda", cuda)
    with fake_gpu() as trt:
        yield trt


def test_on_a_gpu_tensorrt_comes_first(gpu, network):
    assert installed_engines(built=True) == ("tensorrt", "onnxruntime-cuda", "openvino", "onnxruntime")
    opened = open_engine(network, inputs=INPUTS)
    assert opened.engine.name == "tensorrt 11.4.0.106"
    assert opened.reason == "the fastest of those that run here (tensorrt, onnxruntime-cuda, openvino, onnxruntime)"
    assert opened.engine.preferred_batch == 4


def test_where_nothing_is_known_of_the_batches_no_engine_is_built(gpu, network):
    """A build takes minutes: too long for an engine that measures one operation."""
    assert installed_engines() == ("onnxruntime-cuda", "openvino", "onnxruntime")
    assert open_engine(network).engine.name == "fake 1.0"
    with pytest.raises(ConfigError, match="tensorrt, which is built for one"):
        open_engine(network, "tensorrt")


def test_an_engine_that_cannot_be_built_gives_way_with_a_warning_and_a_reason(gpu, network, monkeypatch, caplog):
    monkeypatch.setattr("tests.inference.tensorrt.tensorrt_fake.BuilderFake.build_serialized_network", lambda *_: None)
    with caplog.at_level(logging.WARNING):
        opened = open_engine(network, inputs=INPUTS)
    assert opened.engine.name == "fake 1.0"
    assert opened.reason.endswith("(tensorrt, onnxruntime-cuda, openvino, onnxruntime); tensorrt could not be used")
    assert "The engine tensorrt cannot be used, onnxruntime-cuda is tried next: tensorrt 11.4.0.106: exp" in caplog.text


def test_where_neither_gpu_engine_can_be_used_the_cpu_does_it(gpu, network, monkeypatch):
    def fail(model, **_):
        raise EngineError("onnxruntime-cuda", expected="CUDA", found="none", remedy="Install it")

    monkeypatch.setattr("tests.inference.tensorrt.tensorrt_fake.BuilderFake.build_serialized_network", lambda *_: None)
    broken = select.EngineKind(open=fail, module="onnxruntime", extra="gpu", on_gpu=True)
    monkeypatch.setitem(select._KINDS, "onnxruntime-cuda", broken)
    opened = open_engine(network, inputs=INPUTS)
    assert opened.engine.name.startswith("openvino ")
    assert opened.reason.endswith("; tensorrt and onnxruntime-cuda could not be used")


def test_an_engine_that_is_asked_for_and_cannot_be_built_is_never_replaced(gpu, network, monkeypatch):
    monkeypatch.setattr("tests.inference.tensorrt.tensorrt_fake.BuilderFake.build_serialized_network", lambda *_: None)
    with pytest.raises(EngineError, match="a network that TensorRT can build"):
        open_engine(network, "tensorrt", inputs=INPUTS)


def refuse(engine):
    raise EngineError(engine.name, expected="its proof", found="another answer", remedy="Take another")


def test_an_engine_that_fails_its_proof_gives_way_and_is_not_kept(gpu, network, caplog, tmp_path):
    """Neither one that was just built nor one that was kept, as after another driver."""
    open_engine(network, "tensorrt", inputs=INPUTS)
    for _ in range(2):
        opened = open_engine(
            network, inputs=INPUTS, prove=lambda engine: refuse(engine) if engine.name.startswith("tensorrt") else 5
        )
        assert (opened.engine.name, opened.batch) == ("fake 1.0", 5)
        assert opened.reason.endswith("; tensorrt could not be used")
        assert not list(tmp_path.rglob("*.engine"))
    assert len(gpu.builds) == 2
    assert "onnxruntime-cuda is tried next: tensorrt 11.4.0.106: expected its proof" in caplog.text


@pytest.mark.parametrize("name", ["tensorrt", "openvino"])
def test_an_engine_that_is_asked_for_and_fails_its_proof_is_never_replaced(name, gpu, network):
    with pytest.raises(EngineError, match="expected its proof"):
        open_engine(network, name, inputs=INPUTS, prove=refuse)


def test_half_precision_is_taken_on_a_gpu_where_the_package_has_it(gpu, network):
    both = {"float32": network["float32"], "float16": network["float32"]}
    assert open_engine(both, inputs=INPUTS).engine.precision == "float16"
    assert open_engine(both, inputs=INPUTS, precision="float32").engine.precision == "float32"
    assert open_engine(both, "openvino", inputs=INPUTS).engine.precision == "float32"


def test_libraries_without_a_gpu_are_not_taken(network):
    with fake_gpu(CudaFake(None)):
        assert installed_engines(built=True) == ("openvino", "onnxruntime")


def test_auto_takes_the_fastest_that_runs_the_precision(in_all_precisions):
    models = open_package(in_all_precisions.package).models
    for precision, name in (("float32", "openvino"), ("int8", "openvino"), ("float16", "onnxruntime")):
        opened = open_engine(models, precision=precision)
        assert (opened.engine.name.split()[0], opened.engine.precision) == (name, precision)
        assert installed_engines(precision)[0] == name
    assert "(onnxruntime)" in open_engine(models, precision="float16").reason


@pytest.mark.parametrize("precision", ["int8", "int4", ""])
def test_a_precision_that_there_is_not_is_refused_with_those_that_there_are(precision, network):
    with pytest.raises(ConfigError, match="--precision: expected auto or one of float32, found"):
        open_engine(network, precision=precision)
