"""Choosing an engine by what is installed and what hardware is there, and saying why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from scnas_deploy.errors import ConfigError, MissingExtraError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.engines.triton import TritonEngine
from scnas_deploy.inference.engines.triton_address import FORM, is_triton_address
from scnas_deploy.inference.manifest import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineKind:
    """What can be said of an engine before it is opened."""

    open: Callable[..., Engine]
    """Called with the ONNX file's bytes, ``precision`` and ``num_threads``."""
    module: str
    """What has to be installed."""
    extra: str
    """The extra of this package that brings it."""
    precisions: tuple[Precision, ...] = ("float32",)
    """What it runs; 'auto' takes the first that the package has."""
    has_device: Callable[[], bool] = lambda: True
    """Whether the hardware it needs is there."""

    @property
    def installed(self) -> bool:
        """Whether its library and its hardware are there."""
        return find_spec(self.module) is not None and self.has_device()

    def usable(self, models: Mapping[Precision, bytes]) -> tuple[Precision, ...]:
        """Those of a package's precisions that it runs."""
        return tuple(precision for precision in self.precisions if precision in models)


_KINDS: dict[str, EngineKind] = {
    "openvino": EngineKind(open=OpenVinoEngine, module="openvino", extra="cpu", precisions=("float32", "int8")),
    "onnxruntime": EngineKind(
        open=OnnxRuntimeEngine, module="onnxruntime", extra="cpu", precisions=("float32", "float16")
    ),
}
"""The fastest first."""

ENGINE_NAMES = ("auto", *_KINDS)


@dataclass(frozen=True, slots=True)
class OpenedEngine:
    """An engine and why it was taken."""

    engine: Engine
    reason: str


def open_engine(
    models: Mapping[Precision, bytes],
    name: str = "auto",
    *,
    precision: str = "auto",
    num_threads: int | None = None,
) -> OpenedEngine:
    """Open an engine for a network.

    Args:
        models: The network's ONNX file in each precision that there is.
        name: One of :data:`ENGINE_NAMES`, or a Triton server's address. 'auto' is the fastest that runs the precision.
        precision: One of the models' precisions, or 'auto': half on a GPU where there is such a model, else float32.
        num_threads: Threads of one call; None lets the engine choose. A server's are its own matter.

    Raises:
        ConfigError: If there is no engine of that name, or it or the package lacks the precision.
        MissingExtraError: If it, or under 'auto' any engine, is not installed.
        EngineError: If it cannot load the model, or the server does not serve it.
    """
    if is_triton_address(name):
        served = TritonEngine(name, models, precision=precision)
        return OpenedEngine(served, served.reason)
    kind, reason = _choose(name, precision)
    chosen = _precision(kind, models, precision)
    return OpenedEngine(kind.open(models[chosen], precision=chosen, num_threads=num_threads), reason)


def installed_engines(precision: str = "auto") -> tuple[str, ...]:
    """Names of the engines whose libraries are installed and whose hardware is there, the fastest first.

    Args:
        precision: Only those that run it; 'auto' names all.
    """
    kinds = {name: kind for name, kind in _KINDS.items() if precision in ("auto", *kind.precisions)}
    return tuple(name for name, kind in kinds.items() if kind.installed)


def usable_precisions(name: str, models: Mapping[Precision, bytes]) -> tuple[Precision, ...]:
    """Return those of a package's precisions that an engine runs, its first choice first; none for a name not known."""
    return _KINDS[name].usable(models) if name in _KINDS else ()


def _choose(name: str, precision: str) -> tuple[EngineKind, str]:
    if name not in ENGINE_NAMES:
        raise ConfigError(
            "--engine",
            expected=f"one of {', '.join(ENGINE_NAMES)} or {FORM}",
            found=repr(name),
            remedy="Choose one of these",
        )
    if name != "auto":
        return _KINDS[name], "asked for"
    installed = installed_engines(precision) or installed_engines()
    if not installed:
        raise MissingExtraError("openvino", "cpu", "inference")
    return _KINDS[installed[0]], f"the fastest of those that run here ({', '.join(installed)})"


def _precision(kind: EngineKind, models: Mapping[Precision, bytes], asked: str) -> Precision:
    usable = kind.usable(models)
    found = next((precision for precision in usable if asked in ("auto", precision)), None)
    if found is None:
        raise ConfigError(
            "--precision",
            expected=f"auto or one of {', '.join(usable) or 'none: the engine runs none of the package'}",
            found=repr(asked),
            remedy="Choose another precision or engine, or export the package with it",
        )
    return found
