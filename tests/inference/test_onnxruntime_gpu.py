"""ONNX Runtime's GPU providers: taken, or refused with the reason, and never replaced in silence."""

import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.engines import hardware, onnxruntime_gpu
from scnas_deploy.inference.engines.base import Kept
from scnas_deploy.inference.engines.hardware import has_provider
from scnas_deploy.inference.engines.onnxruntime_gpu import OnnxRuntimeCudaEngine, OnnxRuntimeTensorRtEngine
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.package import open_package

ROOT = Path(__file__).parents[2]
INPUTS = InputRange(least=(1, 1, 24, 24, 24), usual=(3, 1, 24, 24, 24), most=(4, 1, 24, 24, 24))


class OnnxRuntimeGpuFake(ModuleType):
    """ONNX Runtime with GPU providers that can be had or not; the CPU does their work.

    As the real one, it goes on with the CPU in silence where a provider's libraries are not there.
    """

    def __init__(self, *providers: str) -> None:
        super().__init__("onnxruntime")
        self.__spec__ = onnxruntime.__spec__
        self.__version__, self.SessionOptions = onnxruntime.__version__, onnxruntime.SessionOptions
        self.providers = providers
        self.asked: list = []
        self.levels: list[int] = []

    def preload_dlls(self):
        print("Failed to load libcublas.so.13")  # noqa: T201 (as the real one does)

    def set_default_logger_severity(self, level):
        self.levels.append(level)

    def InferenceSession(self, model, options, *, providers, enable_fallback):  # noqa: N802
        assert not enable_fallback
        self.asked = providers
        had = [name for name, _ in providers if name in self.providers]
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        session.get_providers = lambda: [*had, "CPUExecutionProvider"]
        return session


@pytest.fixture(scope="module")
def network(exported) -> bytes:
    return open_package(exported.package).model


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    monkeypatch.setenv("SCNAS_CACHE", str(tmp_path / "cache"))

    def install(*providers: str) -> OnnxRuntimeGpuFake:
        fake = OnnxRuntimeGpuFake(*providers)
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        return fake

    return install


def test_cuda_computes_in_float32_and_without_trial_runs(network, pretend, capfd):
    fake = pretend("CUDAExecutionProvider")
    engine = OnnxRuntimeCudaEngine(network, inputs=INPUTS)
    assert fake.asked == [("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"})]
    assert (engine.name, engine.device) == (f"onnxruntime-cuda {onnxruntime.__version__}", "CUDA")
    assert (engine.preferred_batch, engine.concurrency) == (3, 1)
    assert engine.run(np.zeros((2, 1, 24, 24, 24), dtype=np.float32)).shape == (2, 3, 24, 24, 24)
    assert capfd.readouterr() == ("", "")
    assert fake.levels == [4, 2]


def test_of_an_unknown_batch_single_patches_are_preferred(network, pretend):
    pretend("CUDAExecutionProvider")
    assert OnnxRuntimeCudaEngine(network).preferred_batch == 1


def test_tensorrt_gets_the_batches_and_a_folder_of_ours(network, pretend, tmp_path):
    fake = pretend("TensorrtExecutionProvider", "CUDAExecutionProvider")
    engine = OnnxRuntimeTensorRtEngine(network, inputs=INPUTS)
    (name, options), (then, _) = fake.asked
    assert (name, then) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["trt_profile_min_shapes"] == "image:1x1x24x24x24"
    assert options["trt_profile_opt_shapes"] == "image:3x1x24x24x24"
    assert options["trt_profile_max_shapes"] == "image:4x1x24x24x24"
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_relative_to(tmp_path / "cache")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert options["trt_fp16_enable"] == "0"
    assert engine.preferred_batch == 3


def test_networks_that_differ_in_their_weights_alone_do_not_share_what_tensorrt_keeps(network, pretend):
    fake, folders = pretend("TensorrtExecutionProvider"), []
    for model in (network, retrained(network), network):
        OnnxRuntimeTensorRtEngine(model, inputs=INPUTS)
        folders.append(fake.asked[0][1]["trt_engine_cache_path"])
    assert folders[0] == folders[2] != folders[1]


def test_what_tensorrt_keeps_of_an_engine_that_answers_wrongly_can_be_forgotten(network, pretend):
    fake = pretend("TensorrtExecutionProvider")
    engine = OnnxRuntimeTensorRtEngine(network, inputs=INPUTS)
    folder = Path(fake.asked[0][1]["trt_engine_cache_path"])
    (folder / "plan").touch()
    engine.forget()
    assert not folder.exists()
    assert isinstance(engine, Kept)


def retrained(model: bytes) -> bytes:
    """The same graph with other weights."""
    proto = onnx.load_from_string(model)
    weights = proto.graph.initializer[0]
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) + 1, weights.name))
    return proto.SerializeToString()


def test_half_precision_is_said_to_tensorrt(network, pretend):
    fake = pretend("TensorrtExecutionProvider")
    OnnxRuntimeTensorRtEngine(network, precision="float16", inputs=INPUTS)
    assert fake.asked[0][1]["trt_fp16_enable"] == "1"


@pytest.mark.parametrize(
    ("had", "engine"),
    [((), OnnxRuntimeCudaEngine), (("CUDAExecutionProvider",), OnnxRuntimeTensorRtEngine)],
)
def test_a_provider_that_cannot_be_had_is_not_replaced(had, engine, network, pretend, monkeypatch):
    fake = pretend(*had)
    monkeypatch.setattr(onnxruntime_gpu, "_missing_library", lambda provider: None)
    with pytest.raises(
        EngineError, match=r"expected .*ExecutionProvider, found only .*CPUExecutionProvider"
    ) as refused:
        engine(network, inputs=INPUTS)
    assert "Export the model" not in refused.value.remedy
    assert fake.levels == [4, 2]


def test_a_missing_library_is_named(network):
    """The installed ONNX Runtime has no CUDA provider: the loader says which file it lacks."""
    with pytest.raises(
        EngineError, match=r"cuda provider with the libraries.*found .*libonnxruntime_providers_cuda\.so"
    ):
        OnnxRuntimeCudaEngine(network)


def test_a_provider_is_seen_without_importing_anything(tmp_path, monkeypatch):
    assert not has_provider("cuda")
    library = tmp_path / "capi" / "libonnxruntime_providers_cuda.so"
    library.parent.mkdir()
    library.touch()
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(hardware, "find_spec", lambda name: spec)
    assert has_provider("cuda")
    assert not has_provider("tensorrt")
    monkeypatch.setattr(hardware, "find_spec", lambda name: None)
    assert not has_provider("cuda")


WITH_THE_REAL_ONE = """
import sys
from scnas_deploy.errors import EngineError
from scnas_deploy.inference.engines.base import Kept
from scnas_deploy.inference.engines.hardware import has_provider
from scnas_deploy.inference.engines.onnxruntime_gpu import OnnxRuntimeCudaEngine, OnnxRuntimeTensorRtEngine
from scnas_deploy.inference.inputs import InputRange
shape = (1, 1, 24, 24, 24)
model = open(sys.argv[1], "rb").read()
assert has_provider("cuda") and has_provider("tensorrt")
for engine in (OnnxRuntimeCudaEngine, OnnxRuntimeTensorRtEngine):
    try:
        engine(model, inputs=InputRange(least=shape, usual=shape, most=shape))
    except EngineError as error:
        print(error)
"""


@pytest.mark.soak
def test_the_real_gpu_package_without_cuda_says_which_library_it_lacks(network, tmp_path):
    """It is large, but needs no GPU to say so."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python, model = tmp_path / "venv" / "bin" / "python", tmp_path / "model.onnx"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, "onnxruntime-gpu", ROOT], check=True, capture_output=True)
    model.write_bytes(network)
    command = [python, "-c", WITH_THE_REAL_ONE, model]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    cuda, tensorrt = ended.stdout.splitlines()
    assert "onnxruntime-cuda" in cuda
    assert "cannot open shared object file" in cuda
    assert "onnxruntime-tensorrt" in tensorrt
    assert "cannot open shared object file" in tensorrt
    assert ended.stderr == ""
