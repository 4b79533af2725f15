"""TensorRT and a GPU for machines that have neither: what the builder and the runtime promise, computed on the CPU.

Enumerations, shapes and base classes are those of the real bindings; the classes here have a part of the real ones'
members and no other (tests/inference/tensorrt/test_names.py). Refusals are None or False with a line in the log, as
the real ones are. A plan is the ONNX file with a header; running it queues ONNX Runtime's answer on the stream.
"""

import contextlib
import ctypes
import json
import sys
import threading
import weakref
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from scnas_deploy.inference.engines import hardware, select
from tests.inference.tensorrt.bindings import real_bindings
from tests.inference.tensorrt.cuda_fake import SUCCESS, CudaFake, require_within

_MAGIC = b"a fake plan"
_TAKEN_OVER = (
    "ILogger",
    "IProgressMonitor",
    "BuilderFlag",
    "MemoryPoolType",
    "HardwareCompatibilityLevel",
    "TensorIOMode",
    "DataType",
    "Dims",
)


class TensorRtFake(ModuleType):
    """Stands for the module ``tensorrt``.

    Args:
        cuda: The GPU that it builds for and runs on.
        version: That it says it has.
    """

    def __init__(self, cuda: CudaFake, version: str = "11.4.0.106") -> None:
        super().__init__("tensorrt")
        self.__spec__ = ModuleSpec("tensorrt", None)
        self.__version__ = version
        self.cuda = cuda
        for name in _TAKEN_OVER:
            setattr(self, name, getattr(real_bindings(), name))
        self.builds: list[ConfigFake] = []
        """The configuration of every build that was begun."""
        self.step: Any = threading.Event()
        self.step.set()  # a test clears it to hold a build between two steps

    def Builder(self, logger: Any) -> "BuilderFake":
        if self.cuda.gpu is None:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return BuilderFake(self, logger)

    def OnnxParser(self, network: "NetworkFake", logger: Any) -> "ParserFake":
        return ParserFake(network, logger)

    def Runtime(self, logger: Any) -> "RuntimeFake":
        if self.cuda.gpu is None:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return RuntimeFake(self, logger)

    def complain(self, logger: Any, text: str) -> None:
        logger.log(self.ILogger.Severity.ERROR, text)


def session_on_the_cpu(model: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread: the test processes share the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class TensorFake:
    name = ""
    shape: Any = None

    def __init__(self, name: str, shape: Any) -> None:
        self.name, self.shape = name, shape


class NetworkFake:
    def __init__(self) -> None:
        self.model = b""
        self.inputs: list[TensorFake] = []
        self.weights_owner: Any = lambda: None

    def get_input(self, index: int) -> TensorFake:
        return self.inputs[index]


class ParserErrorFake:
    def __init__(self, text: str) -> None:
        self.text = text

    def desc(self) -> str:
        return self.text

    def node_name(self) -> str:
        return ""


class ParserFake:
    def __init__(self, network: NetworkFake, logger: Any) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserErrorFake] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserErrorFake:
        return self._errors[index]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        try:
            graph = onnx.load_from_string(model).graph
            session_on_the_cpu(model)
        except Exception:  # noqa: BLE001 (as the real one, which says it in its own words)
            self._errors.append(ParserErrorFake("Failed to parse the ONNX model\n[6] a line more"))
            return False
        dims = real_bindings().Dims
        for value in graph.input:
            sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim]
            self._network.inputs.append(TensorFake(value.name, dims(sizes)))
        self._network.model = model
        self._network.weights_owner = weakref.ref(self)
        return True


class ProfileFake:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        if not all(low <= usual <= high for low, usual, high in zip(min, opt, max, strict=True)):
            raise ValueError("Shape provided for min, opt or max is inconsistent with other inputs.")
        self.shapes[input] = (tuple(min), tuple(opt), tuple(max))


class TimingCacheFake:
    def __init__(self, timed: dict[str, Any]) -> None:
        self.timed = timed

    def serialize(self) -> memoryview:
        return memoryview(json.dumps(self.timed).encode())


class ConfigFake:
    hardware_compatibility_level: Any = None
    progress_monitor: Any = None

    def __init__(self, trt: TensorRtFake) -> None:
        self._trt = trt
        self.hardware_compatibility_level = trt.HardwareCompatibilityLevel.NONE
        self.flags_now = {trt.BuilderFlag.TF32}  # its default
        self.pool_limits: dict[Any, int] = {}
        self.profiles: list[ProfileFake] = []
        self.timing_cache: TimingCacheFake | None = None

    def clear_flag(self, flag: Any) -> None:
        self.flags_now.discard(flag)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.pool_limits[pool] = pool_size

    def add_optimization_profile(self, profile: ProfileFake) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCacheFake | None:
        try:
            known = json.loads(serialized_timing_cache or b'{"networks": 0}')
        except ValueError:
            return None
        return TimingCacheFake({"gpu": list(self._trt.cuda.gpu), **known})

    def set_timing_cache(self, cache: TimingCacheFake, ignore_mismatch: bool) -> bool:
        if not ignore_mismatch and cache.timed["gpu"] != list(self._trt.cuda.gpu):
            return False
        self.timing_cache = cache
        return True


class BuilderFake:
    """Its phases nest, and its monitor is called from another thread, as the real one's may be."""

    def __init__(self, trt: TensorRtFake, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def create_network(self, flags: int = 0) -> NetworkFake:
        return NetworkFake()

    def create_builder_config(self) -> ConfigFake:
        return ConfigFake(self._trt)

    def create_optimization_profile(self) -> ProfileFake:
        return ProfileFake()

    def build_serialized_network(self, network: NetworkFake, config: ConfigFake) -> memoryview | None:
        assert network.weights_owner() is not None, "the parser owns the weights, and is gone"
        self._trt.builds.append(config)
        tensor = network.inputs[0]
        least, _, most = shapes = config.profiles[0].shapes[tensor.name]
        if any(size not in (-1, low) or (size != -1 and low != high)
               for size, low, high in zip(tensor.shape, least, most, strict=True)):  # fmt: skip
            return self._refuse(f"{tensor.name}: dimensions of the profile and the network differ")
        if not self._run_phases(config.progress_monitor):
            return self._refuse("the build was cancelled")
        config.timing_cache.timed["networks"] += 1
        any_gpu = config.hardware_compatibility_level == self._trt.HardwareCompatibilityLevel.AMPERE_PLUS
        gpu = None if any_gpu else self._trt.cuda.gpu
        header = json.dumps({"version": self._trt.__version__, "gpu": gpu, "shapes": shapes}).encode()
        return memoryview(b"\n".join([_MAGIC, header, network.model]))

    def _refuse(self, text: str) -> None:
        self._trt.complain(self._logger, text)

    def _run_phases(self, monitor: Any) -> bool:
        went_on: list[bool] = []
        thread = threading.Thread(target=lambda: went_on.append(self._phases(monitor)))
        thread.start()
        thread.join()
        return went_on[0]

    def _phases(self, monitor: Any) -> bool:
        monitor.phase_start("Building Engine", None, 2)
        for step in range(2):
            monitor.phase_start("Tactics", "Building Engine", 4)
            for tactic in range(4):
                self._trt.step.wait()
                if not monitor.step_complete("Tactics", tactic):
                    return False
            monitor.phase_finish("Tactics")
            if not monitor.step_complete("Building Engine", step):
                return False
        monitor.phase_finish("Building Engine")
        return True


class RuntimeFake:
    def __init__(self, trt: TensorRtFake, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "EngineOfTensorRtFake | None":
        magic, _, rest = serialized_engine.partition(b"\n")
        if magic != _MAGIC:
            return self._trt.complain(self._logger, "Magic tag does not match")
        line, _, model = rest.partition(b"\n")
        header = json.loads(line)
        if header["version"] != self._trt.__version__:
            return self._trt.complain(self._logger, "Version tag does not match")
        if header["gpu"] not in (None, list(self._trt.cuda.gpu)):
            return self._trt.complain(self._logger, "Using an engine plan file across different models of devices")
        return EngineOfTensorRtFake(self._trt, self._logger, header["shapes"], model)


class EngineOfTensorRtFake:
    num_io_tensors = 2

    def __init__(self, trt: TensorRtFake, logger: Any, shapes: list[list[int]], model: bytes) -> None:
        self.trt, self.logger, self.shapes = trt, logger, shapes
        self.session = session_on_the_cpu(model)
        self.input, self.output = self.session.get_inputs()[0], self.session.get_outputs()[0]

    def get_tensor_name(self, index: int) -> str:
        return (self.output.name, self.input.name)[index]  # in an order that must not be relied on

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.INPUT if name == self.input.name else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        tensor = self.input if name == self.input.name else self.output
        return {"tensor(float)": self.trt.DataType.FLOAT, "tensor(float16)": self.trt.DataType.HALF}[tensor.type]

    def create_execution_context(self) -> "ContextFake | None":
        return ContextFake(self)


class ContextFake:
    def __init__(self, engine: EngineOfTensorRtFake) -> None:
        self._engine = engine
        self._shape: tuple[int, ...] | None = None
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self._engine.shapes
        if name != self._engine.input.name or not all(
            low <= size <= high for low, size, high in zip(least, shape, most, strict=True)
        ):
            self._engine.trt.complain(self._engine.logger, "Supplied binding dimension does not satisfy any profile")
            return False
        self._shape = shape
        return True

    def get_tensor_shape(self, name: str) -> Any:
        assert self._shape is not None
        if name == self._engine.input.name:
            return self._engine.trt.Dims(self._shape)
        return self._engine.trt.Dims([self._shape[0], self._engine.output.shape[1], *self._shape[2:]])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, cuda, shape = self._engine, self._engine.trt.cuda, self._shape
        source, target = (self._addresses[tensor.name] for tensor in (engine.input, engine.output))
        answered = tuple(self.get_tensor_shape(engine.output.name))

        def compute() -> Any:
            patches = _floats(source, shape, cuda).copy()
            _floats(target, answered, cuda)[:] = engine.session.run(None, {engine.input.name: patches})[0]
            return SUCCESS

        cuda.streams[stream_handle].append(compute)
        return True


def _floats(address: int, shape: tuple[int, ...], cuda: CudaFake) -> np.ndarray:
    size = int(np.prod(shape))
    require_within(address, 4 * size, cuda.device)
    return np.ctypeslib.as_array((ctypes.c_float * size).from_address(address)).reshape(shape)


@contextlib.contextmanager
def fake_gpu(cuda: CudaFake | None = None, version: str = "11.4.0.106") -> Iterator[TensorRtFake]:
    """Pretend that there is a GPU, with TensorRT installed."""
    cuda = cuda or CudaFake()
    trt = TensorRtFake(cuda, version)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tensorrt", trt)
        patch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
        for module in (hardware, select):
            patch.setattr(module, "has_gpu", lambda: cuda.gpu is not None)
        yield trt
