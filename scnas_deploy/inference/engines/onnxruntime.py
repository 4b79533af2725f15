"""ONNX Runtime on the CPU."""

from typing import Any

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


class OnnxRuntimeEngine:
    """Runs an ONNX model with ONNX Runtime's CPU provider.

    A file in half precision it runs slower than one in float32: operators compute in float32 where the processor has
    nothing else, and their results are rounded to half precision. That proves the file where there is no GPU.

    Args:
        model: The ONNX file's bytes.
        precision: Of that file.
        num_threads: Threads of one call; None lets the library choose.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
        EngineError: If it cannot load the model.
    """

    device = "CPU"
    preferred_batch = 1
    concurrency = 1

    def __init__(self, model: bytes, *, precision: Precision = "float32", num_threads: int | None = None) -> None:
        self.precision = precision
        runtime = require("onnxruntime", extra="cpu", purpose="the ONNX Runtime engine")
        self.name = f"onnxruntime {runtime.__version__}"
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        try:
            self._session: Any = runtime.InferenceSession(
                model,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # which prints to standard output
            )
        except Exception as error:  # its exceptions share no base class
            raise _engine_error(self.name, "a loadable ONNX model", error) from error
        self._input: str = self._session.get_inputs()[0].name

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches."""
        try:
            logits: LogitsBKXYZ = self._session.run(None, {self._input: patches_BCXYZ})[0]
        except Exception as error:  # as above
            raise _engine_error(self.name, "patches the model can take", error) from error
        return logits


def _engine_error(name: str, expected: str, error: Exception) -> EngineError:
    return EngineError(name, expected=expected, found=str(error).splitlines()[0][:200], remedy="Export the model again")
