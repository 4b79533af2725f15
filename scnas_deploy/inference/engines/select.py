"""Choosing an engine by what is installed, and saying why."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from scnas_deploy.errors import ConfigError, MissingExtraError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.engines.openvino import OpenVinoEngine

_ENGINES: dict[str, tuple[str, Callable[..., Engine]]] = {
    "openvino": ("openvino", OpenVinoEngine),
    "onnxruntime": ("onnxruntime", OnnxRuntimeEngine),
}
"""Name -> (module, class), the fastest on a CPU first."""

ENGINE_NAMES = ("auto", *_ENGINES)


@dataclass(frozen=True, slots=True)
class OpenedEngine:
    """An engine and why it was taken."""

    engine: Engine
    reason: str


def open_engine(model: bytes, name: str = "auto", *, num_threads: int | None = None) -> OpenedEngine:
    """Open an engine for an ONNX model.

    Args:
        model: The ONNX file's bytes.
        name: One of :data:`ENGINE_NAMES`.
        num_threads: Threads of one call; None lets the engine choose.

    Raises:
        ConfigError: If there is no engine of that name.
        MissingExtraError: If it, or under 'auto' any engine, is not installed.
        EngineError: If it cannot load the model.
    """
    if name not in ENGINE_NAMES:
        raise ConfigError(
            "--engine", expected=f"one of {', '.join(ENGINE_NAMES)}", found=repr(name), remedy="Choose one of these"
        )
    if name != "auto":
        return OpenedEngine(_ENGINES[name][1](model, num_threads=num_threads), "asked for")
    installed = installed_engines()
    if not installed:
        raise MissingExtraError("openvino", "cpu", "inference")
    engine = _ENGINES[installed[0]][1](model, num_threads=num_threads)
    return OpenedEngine(engine, f"the fastest CPU engine of those installed ({', '.join(installed)})")


def installed_engines() -> tuple[str, ...]:
    """Names of the engines whose libraries are installed, the fastest first."""
    return tuple(name for name, (module, _) in _ENGINES.items() if find_spec(module) is not None)
