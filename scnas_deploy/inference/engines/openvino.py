"""OpenVINO on the CPU."""

from functools import cache
from typing import Any

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


class OpenVinoEngine:
    """Runs an ONNX model with OpenVINO's CPU plug-in: in float32, or the convolutions that the file says in eight bits.

    The precision is set by hint: on processors with AMX, OpenVINO would compute in bfloat16 otherwise. So it would run
    a file in half precision in float32 throughout, and is not offered one: the package has the same network in float32.
    Patches are computed one by one: for one fixed shape OpenVINO plans its memory beforehand, which takes less of it
    and of time.

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
        core = _core()
        try:
            network = core.read_model(model=model, weights=b"")
            self._input: Any = network.input(0).partial_shape
            network.reshape([1, *list(self._input)[1:]])
            compiled = core.compile_model(network, "CPU", config)
        except (RuntimeError, TypeError, UnicodeDecodeError) as error:  # the last by a message that quotes the file
            raise _engine_error(self.name, "a loadable ONNX model", error) from error
        self._request: Any = compiled.create_infer_request()

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches."""
        self._check(patches_BCXYZ.shape)
        try:
            logits = [self._answer(patches_BCXYZ[number : number + 1]) for number in range(len(patches_BCXYZ))]
        except (RuntimeError, TypeError) as error:
            raise _engine_error(self.name, "patches the model can take", error) from error
        return logits[0] if len(logits) == 1 else np.concatenate(logits)

    def _answer(self, patch_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        patch = np.ascontiguousarray(patch_BCXYZ)
        logits: LogitsBKXYZ = self._request.infer([patch], share_inputs=True, share_outputs=True)[0]
        return logits.copy()  # the request reuses its own buffer

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


@cache
def _core() -> Any:
    """The process' one core, which is never given up.

    Each core gives the thread that makes it an alternate stack for signals. Given up in another order than they were
    made in, or by another thread, cores leave a thread with a stack that is no more, and the next signal that Python
    handles there (SIGTERM, SIGCHLD) ends the process (OpenVINO 2026.4).
    """
    return require("openvino", extra="cpu", purpose="the OpenVINO engine").Core()


def _engine_error(name: str, expected: str, error: Exception) -> EngineError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return EngineError(
        name, expected=expected, found=lines[-1][:200] if lines else "an error", remedy="Export it again"
    )
