"""ONNX Runtime on an NVIDIA GPU: by its CUDA provider, and by its TensorRT provider.

The latter is linked with its own major version of TensorRT, which need not be the one that is installed.
"""

import contextlib
import ctypes
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.engines.hardware import Provider, provider_library
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.inputs import InputRange, ShapeBCXYZ
from scnas_deploy.inference.manifest import INPUT, Precision
from scnas_deploy.inference.tensorrt.cache import make_private_folder, user_cache

_CUDA: Final = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"})
"""cuDNN's heuristic takes no trial runs for each new shape; TF32 would leave the limits of float32."""
_QUIET, _WARNINGS = 4, 2
"""ONNX Runtime's levels for what no session has logged: fatal alone, and its default."""


class OnnxRuntimeCudaEngine(OnnxRuntimeEngine):
    """Runs an ONNX model with ONNX Runtime's CUDA provider.

    Args:
        model: The ONNX file's bytes.
        precision: Of that file.
        inputs: The batches it will be asked; None: single patches.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
        EngineError: If the provider or the model cannot be loaded.
    """

    kind = "onnxruntime-cuda"
    device = "CUDA"

    def __init__(self, model: bytes, *, precision: Precision = "float32", inputs: InputRange | None = None) -> None:
        with _loading("cuda", self.kind):
            super().__init__(model, precision=precision, providers=[_CUDA])
        if inputs is not None:
            self.preferred_batch = inputs.usual[0]


class OnnxRuntimeTensorRtEngine(OnnxRuntimeEngine):
    """Runs an ONNX model with ONNX Runtime's TensorRT provider, which builds its engines when it opens.

    It has no option against TF32: the canary decides whether its float32 is near enough.

    Args:
        model: The ONNX file's bytes.
        precision: Of that file.
        inputs: The batches it will be asked.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
        EngineError: If the provider or the model cannot be loaded.
    """

    kind = "onnxruntime-tensorrt"
    device = "CUDA"

    def __init__(self, model: bytes, *, precision: Precision = "float32", inputs: InputRange) -> None:
        with _loading("tensorrt", self.kind):
            self._folder = user_cache() / "onnxruntime-tensorrt" / sha256_of(model)
            make_private_folder(self._folder)
            super().__init__(model, precision=precision, providers=[_tensorrt(self._folder, precision, inputs), _CUDA])
        self.preferred_batch = inputs.usual[0]

    def forget(self) -> None:
        """Remove what the provider keeps of the network."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _tensorrt(folder: Path, precision: Precision, inputs: InputRange) -> tuple[str, dict[str, str]]:
    """The provider and its options.

    Args:
        folder: This network's alone: the provider's file names tell networks apart by their graph, not by weights.
        precision: Of the network.
        inputs: The batches it will be asked.
    """

    def shape(sizes: ShapeBCXYZ) -> str:
        return f"{INPUT}:{'x'.join(map(str, sizes))}"

    return "TensorrtExecutionProvider", {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_fp16_enable": str(int(precision == "float16")),
        "trt_profile_min_shapes": shape(inputs.least),
        "trt_profile_opt_shapes": shape(inputs.usual),
        "trt_profile_max_shapes": shape(inputs.most),
    }


@contextlib.contextmanager
def _loading(provider: Provider, kind: str) -> Iterator[None]:
    """Have the CUDA libraries of Python packages found, and say why a provider could not be loaded.

    ONNX Runtime itself writes that to standard error alone, in colours.
    """
    runtime = require("onnxruntime", extra="gpu", purpose=f"the engine {kind}")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it has not found
        runtime.preload_dlls()
    runtime.set_default_logger_severity(_QUIET)
    try:
        yield
    except EngineError as error:
        missing = _missing_library(provider)
        if missing is None:
            raise
        raise EngineError(
            error.subject,
            expected=f"ONNX Runtime's {provider} provider with the libraries it needs",
            found=missing,
            remedy="Install them, for CUDA with: pip install 'onnxruntime-gpu[cuda,cudnn]'; or take another engine",
        ) from error
    finally:
        runtime.set_default_logger_severity(_WARNINGS)


def _missing_library(provider: Provider) -> str | None:
    """Why a provider's library cannot be loaded; None where it can."""
    try:
        names: tuple[Literal["shared"], Provider] = ("shared", provider)
        for name in names:  # only after ONNX Runtime has tried: loaded before, they would not know of it
            ctypes.CDLL(str(provider_library(name)), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return str(error)
    return None
