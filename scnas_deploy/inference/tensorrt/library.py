"""TensorRT's library: imported when first needed, and its refusals turned into errors.

TensorRT answers what it cannot do with None or False, and says why in its log alone. The log is kept for that.
"""

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, TypeVar

from scnas_deploy.errors import EngineError, MissingExtraError
from scnas_deploy.extras import require

Answer = TypeVar("Answer")

_OLDEST: Final = 11
"""Earlier versions choose a layer's precision themselves; ours is that of the ONNX file."""

_log = logging.getLogger(__name__)


class Library:
    """TensorRT with a log of its own.

    Raises:
        MissingExtraError: If it is not installed.
        EngineError: If its libraries cannot be loaded, or are too old.
    """

    def __init__(self) -> None:
        self.trt: Any = _import()
        self.log: Any = _message_log(self.trt)

    def make(self, kind: Callable[..., Answer], *arguments: object) -> Answer:
        """Make one of TensorRT's objects.

        Raises:
            EngineError: If it cannot be made, for instance where the driver is too old.
        """
        try:
            return kind(*arguments)
        except TypeError as error:  # the bindings' word for a null pointer
            raise self.refusal("a working NVIDIA driver", "Check it with nvidia-smi") from error

    def need(self, answer: Answer | None, expected: str, remedy: str) -> Answer:
        """Return TensorRT's answer, which must be neither None nor False.

        Raises:
            EngineError: With what its log says.
        """
        if answer is None or answer is False:
            raise self.refusal(expected, remedy)
        return answer

    def refusal(self, expected: str, remedy: str) -> EngineError:
        """What to raise when TensorRT has refused something."""
        said = "; ".join(" ".join(text.split()) for text in self.log.errors)
        self.log.errors.clear()
        return EngineError(
            f"tensorrt {self.trt.__version__}",
            expected=expected,
            found=said[:300] or "a failure without a reason",
            remedy=remedy,
        )


def _import() -> ModuleType:
    try:
        trt = require("tensorrt", extra="gpu", purpose="TensorRT engines")
    except MissingExtraError:
        raise
    except (ImportError, OSError, RuntimeError) as error:  # the libraries that belong to it
        raise _unusable(f"TensorRT {_OLDEST} with its libraries", str(error)) from error
    if int(trt.__version__.split(".")[0]) < _OLDEST:
        raise _unusable(f"TensorRT {_OLDEST} or later", trt.__version__)
    return trt


def _unusable(expected: str, found: str) -> EngineError:
    return EngineError(
        "tensorrt",
        expected=expected,
        found=found.splitlines()[0][:200],
        remedy=f"Install it with: pip install 'tensorrt>={_OLDEST}'",
    )


def _message_log(trt: Any) -> Any:
    errors = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class MessageLog(trt.ILogger):  # type: ignore[misc]
        """Keeps what went wrong; the rest goes to Python's log, for debugging."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in errors:
                self.errors.append(msg)
            else:
                _log.debug("%s", msg)

    return MessageLog()
