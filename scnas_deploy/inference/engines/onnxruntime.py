"""ONNX Runtime on the CPU, and what its GPU engines share with it."""

from collections.abc import Sequence
from typing import Any

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ

Providers = Sequence[tuple[str, dict[str, str]]]
"""What computes, by ONNX Runtime's names, the preferred first; each with its options."""

ON_THE_CPU: Providers = (("CPUExecutionProvider", {}),)


class OnnxRuntimeEngine:
    """Runs an ONNX model with ONNX Runtime, on the CPU unless other providers are named.

    A file in half precision it runs slower than one in float32: operators compute in float32 where the processor has
    nothing else, and their results are rounded to half precision. That proves the file where there is no GPU.

    Args:
        model: The ONNX file's bytes.
        precision: Of that file.
        num_threads: Threads of one call; None lets the library choose.
        providers: The first must be had. ONNX Runtime itself would go on with the CPU where it is not.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
        EngineError: If it cannot load the model, or has not the first provider.
    """

    kind = "onnxruntime"
    device = "CPU"
    preferred_batch = 1
    concurrency = 1

    def __init__(
        self,
        model: bytes,
        *,
        precision: Precision = "float32",
        num_threads: int | None = None,
        providers: Providers = ON_THE_CPU,
    ) -> None:
        self.precision = precision
        runtime = require("onnxruntime", extra="cpu", purpose="the ONNX Runtime engine")
        self.name = f"{self.kind} {runtime.__version__}"
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        try:
            session = runtime.InferenceSession(
                model,
                options,
                providers=list(providers),
                enable_fallback=0,  # which prints to standard output
            )
        except Exception as error:  # its exceptions share no base class
            raise _engine_error(self.name, "a loadable ONNX model", str(error)) from error
        if session.get_providers()[0] != providers[0][0]:
            found = f"only {', '.join(session.get_providers())}"
            raise _engine_error(self.name, providers[0][0], found, "Check the driver, or take another engine")
        self._session: Any = session
        self._input: str = session.get_inputs()[0].name

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches."""
        try:
            logits: LogitsBKXYZ = self._session.run(None, {self._input: patches_BCXYZ})[0]
        except Exception as error:  # as above
            raise _engine_error(self.name, "patches the model can take", str(error)) from error
        return logits


def _engine_error(name: str, expected: str, found: str, remedy: str = "Export the model again") -> EngineError:
    return EngineError(name, expected=expected, found=found.splitlines()[0][:200], remedy=remedy)
