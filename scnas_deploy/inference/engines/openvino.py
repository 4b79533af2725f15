"""OpenVINO on the CPU."""

from typing import Any

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


class OpenVinoEngine:
    """Runs an ONNX model with OpenVINO's CPU plug-in, in float32.

    The precision is set by hint: on processors with AMX, OpenVINO would compute in bfloat16 otherwise.

    Args:
        model: The ONNX file's bytes.
        precision: Of that file.
        num_threads: Threads of one call; None lets the library choose.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
        EngineError: If it cannot load the model.
    """

    device = "CPU"
    preferred_batch = 1
    concurrency = 1

    def __init__(self, model: bytes, *, precision: Precision = "float32", num_threads: int | None = None) -> None:
        self.precision = precision
        openvino = require("openvino", extra="cpu", purpose="the OpenVINO engine")
        self.name = f"openvino {openvino.__version__.split('-')[0]}"
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if num_threads is not None:
            config["INFERENCE_NUM_THREADS"] = num_threads
        core = openvino.Core()
        try:
            compiled = core.compile_model(core.read_model(model=model, weights=b""), "CPU", config)
        except (RuntimeError, TypeError) as error:
            raise _engine_error(self.name, "a loadable ONNX model", error) from error
        self._request: Any = compiled.create_infer_request()
        self._input: Any = compiled.input(0).partial_shape

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches."""
        self._check(patches_BCXYZ.shape)
        try:
            results = self._request.infer([np.ascontiguousarray(patches_BCXYZ)])
        except (RuntimeError, TypeError) as error:
            raise _engine_error(self.name, "patches the model can take", error) from error
        logits: LogitsBKXYZ = results[0].copy()  # the request reuses its own buffer
        return logits

    def _check(self, shape: tuple[int, ...]) -> None:
        """Refuse patches of another shape: on a single core OpenVINO computes something of them, or crashes."""
        openvino = require("openvino", extra="cpu", purpose="the OpenVINO engine")
        if not self._input.compatible(openvino.PartialShape(list(shape))):
            raise EngineError(
                self.name,
                expected=f"patches the model can take, {self._input}",
                found=f"{shape}",
                remedy="Export it again for such patches",
            )


def _engine_error(name: str, expected: str, error: Exception) -> EngineError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return EngineError(
        name, expected=expected, found=lines[-1][:200] if lines else "an error", remedy="Export it again"
    )
