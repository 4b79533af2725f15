"""Choosing an engine by what is installed and what hardware is there, and saying why."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from scnas_deploy.errors import ConfigError, EngineError, MissingExtraError
from scnas_deploy.inference.engines.base import Engine, Kept
from scnas_deploy.inference.engines.hardware import has_gpu, has_provider
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.engines.triton import TritonEngine
from scnas_deploy.inference.engines.triton_address import FORM, is_triton_address
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.manifest import Precision

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineKind:
    """What can be said of an engine before it is opened."""

    open: Callable[..., Engine]
    """Called with the ONNX file's bytes and ``precision``, and with ``inputs`` on a GPU, else with ``num_threads``."""
    module: str
    """What has to be installed."""
    extra: str
    """The extra of this package that brings it."""
    precisions: tuple[Precision, ...] = ("float32",)
    """What it runs; 'auto' takes the first that the package has."""
    complete: Callable[[], bool] = lambda: True
    """Whether the module has the parts that this engine needs."""
    on_gpu: bool = False
    """Whether it needs an NVIDIA GPU."""
    builds: bool = False
    """Whether it is built for a range of inputs, which takes minutes the first time."""

    @property
    def installed(self) -> bool:
        """Whether its library and its hardware are there."""
        return find_spec(self.module) is not None and self.complete() and (not self.on_gpu or has_gpu())

    def usable(self, models: Mapping[Precision, bytes]) -> tuple[Precision, ...]:
        """Those of a package's precisions that it runs."""
        return tuple(precision for precision in self.precisions if precision in models)


# What belongs to a GPU is imported where there is one: a machine without starts the faster.


def _tensorrt(model: bytes, **settings: Any) -> Engine:
    from scnas_deploy.inference.engines.tensorrt import open_tensorrt

    return open_tensorrt(model, **settings)


def _onnxruntime_cuda(model: bytes, **settings: Any) -> Engine:
    from scnas_deploy.inference.engines.onnxruntime_gpu import OnnxRuntimeCudaEngine

    return OnnxRuntimeCudaEngine(model, **settings)


def _onnxruntime_tensorrt(model: bytes, **settings: Any) -> Engine:
    from scnas_deploy.inference.engines.onnxruntime_gpu import OnnxRuntimeTensorRtEngine

    return OnnxRuntimeTensorRtEngine(model, **settings)


_KINDS: dict[str, EngineKind] = {
    "tensorrt": EngineKind(
        open=_tensorrt,
        module="tensorrt",
        extra="gpu",
        precisions=("float16", "float32"),
        on_gpu=True,
        builds=True,
    ),
    "onnxruntime-cuda": EngineKind(
        open=_onnxruntime_cuda,
        module="onnxruntime",
        extra="gpu",
        precisions=("float16", "float32"),
        complete=lambda: has_provider("cuda"),
        on_gpu=True,
    ),
    "openvino": EngineKind(open=OpenVinoEngine, module="openvino", extra="cpu", precisions=("float32", "int8")),
    "onnxruntime": EngineKind(
        open=OnnxRuntimeEngine, module="onnxruntime", extra="cpu", precisions=("float32", "float16")
    ),
    "onnxruntime-tensorrt": EngineKind(
        open=_onnxruntime_tensorrt,
        module="onnxruntime",
        extra="gpu",
        precisions=("float16", "float32"),
        complete=lambda: has_provider("tensorrt"),
        on_gpu=True,
        builds=True,
    ),
}
"""In the order in which 'auto' tries them: the fastest first, and last what there is no reason to take unasked."""

ENGINE_NAMES = ("auto", *_KINDS)


Proof = Callable[[Engine], int]
"""Raises EngineError for an engine that must not be used; returns how many patches a call it takes best."""


@dataclass(frozen=True, slots=True)
class OpenedEngine:
    """An engine and why it was taken."""

    engine: Engine
    reason: str
    batch: int
    """Patches of a call, as the proof has found them best."""


def open_engine(
    models: Mapping[Precision, bytes],
    name: str = "auto",
    *,
    precision: str = "auto",
    num_threads: int | None = None,
    inputs: InputRange | None = None,
    prove: Proof = lambda _: 1,
) -> OpenedEngine:
    """Open an engine for a network.

    Args:
        models: The network's ONNX file in each precision that there is.
        name: One of :data:`ENGINE_NAMES`, or a Triton server's address. Under 'auto' the fastest that runs the
            precision is tried first, and one that cannot be opened or fails the proof gives way to the next with a
            warning; one that is asked for by name never does.
        precision: One of the models' precisions, or 'auto': half on a GPU where there is such a model, else float32.
        num_threads: Threads of one call on this machine's CPU; None lets the engine choose.
        inputs: The batches it will be asked. Without it there is no engine that has to be built for them.
        prove: Called with the opened engine; what is kept of one that fails is removed.

    Raises:
        ConfigError: If there is no engine of that name, or it or the package lacks the precision.
        MissingExtraError: If it, or under 'auto' any engine, is not installed.
        EngineError: If it cannot load the model or fails the proof, or the server does not serve it.
    """
    if is_triton_address(name):
        served = TritonEngine(name, models, precision=precision)
        return OpenedEngine(served, served.reason, prove(served))
    asked = _Request(models, precision, num_threads, inputs, prove)
    if name not in ENGINE_NAMES:
        raise ConfigError(
            "--engine",
            expected=f"one of {', '.join(ENGINE_NAMES)} or {FORM}",
            found=repr(name),
            remedy="Choose one of these",
        )
    if name != "auto":
        return _open_proven(name, asked, "asked for")
    return _first_that_opens(asked)


def installed_engines(precision: str = "auto", *, built: bool = False) -> tuple[str, ...]:
    """Names of the engines whose libraries are installed and whose hardware is there, the fastest first.

    Args:
        precision: Only those that run it; 'auto' names all.
        built: Name those too that are built for a range of inputs.
    """
    kinds = {name: kind for name, kind in _KINDS.items() if precision in ("auto", *kind.precisions)}
    return tuple(name for name, kind in kinds.items() if (built or not kind.builds) and kind.installed)


def usable_precisions(name: str, models: Mapping[Precision, bytes]) -> tuple[Precision, ...]:
    """Return those of a package's precisions that an engine runs, its first choice first; none for a name not known."""
    return _KINDS[name].usable(models) if name in _KINDS else ()


@dataclass(frozen=True, slots=True)
class _Request:
    """What an engine is opened for; see :func:`open_engine`."""

    models: Mapping[Precision, bytes]
    precision: str
    num_threads: int | None
    inputs: InputRange | None
    prove: Proof


def _first_that_opens(asked: _Request) -> OpenedEngine:
    built = asked.inputs is not None
    names = installed_engines(asked.precision, built=built) or installed_engines(built=built)
    failed: list[str] = []
    for number, name in enumerate(names):
        after = f"; {' and '.join(failed)} could not be used" if failed else ""
        try:
            return _open_proven(name, asked, f"the fastest of those that run here ({', '.join(names)}){after}")
        except (EngineError, MissingExtraError) as error:
            if number + 1 == len(names):
                raise
            _log.warning("The engine %s cannot be used, %s is tried next: %s", name, names[number + 1], error)
            failed.append(name)
    raise MissingExtraError("openvino", "cpu", "inference")


def _open_proven(name: str, asked: _Request, reason: str) -> OpenedEngine:
    engine = _open(name, asked)
    try:
        return OpenedEngine(engine, reason, asked.prove(engine))
    except EngineError:
        if isinstance(engine, Kept):
            engine.forget()
        raise


def _open(name: str, asked: _Request) -> Engine:
    kind = _KINDS[name]
    if kind.builds and asked.inputs is None:
        raise ConfigError(
            "--engine",
            expected="an engine that takes any network at once",
            found=f"{name}, which is built for one",
            remedy="Choose another engine",
        )
    precision = _precision(kind, asked.models, asked.precision)
    settings = {"inputs": asked.inputs} if kind.on_gpu else {"num_threads": asked.num_threads}
    return kind.open(asked.models[precision], precision=precision, **settings)


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
