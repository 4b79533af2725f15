"""Building the engine of a model package for this machine: proven before it is kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from scnas_deploy.errors import ConfigError
from scnas_deploy.inference.canary import check_batches, check_canary
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.engines.tensorrt import TensorRtEngine
from scnas_deploy.inference.inputs import input_range
from scnas_deploy.inference.latency import latencies_ms
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.inference.package import ModelPackage
from scnas_deploy.inference.tensorrt.builder import BuildOptions, build
from scnas_deploy.inference.tensorrt.cache import EngineCache, make_key
from scnas_deploy.inference.tensorrt.cuda import current_gpu
from scnas_deploy.inference.tensorrt.library import Library
from scnas_deploy.inference.tensorrt.progress import BuildProgress
from scnas_deploy.inference.tensorrt.runtime import LoadedEngine
from scnas_deploy.types import PatchesBCXYZ

PRECISIONS: Final[tuple[Precision, ...]] = ("float16", "float32")
"""What TensorRT runs, the faster first."""
_REPEATS: Final = 10

Gate = Callable[[Engine], None]
"""Raises for an engine that must not be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedEngine:
    """An engine that has answered the canary and is kept for this machine."""

    name: str
    """TensorRT and its version."""
    gpu: str
    precision: Precision
    plan: bytes
    """The engine as TensorRT reads it."""
    path: Path
    """Where it is kept."""
    build_seconds: float
    single_ms: float
    """Milliseconds of one patch by itself."""
    batch: int
    """Patches of the largest batch it was built for."""
    batch_ms: float
    """Milliseconds of such a batch."""


def buildable_precisions(package: ModelPackage, asked: str | None = None) -> tuple[Precision, ...]:
    """Return the precisions of a package to build for.

    Args:
        package: With one network or several.
        asked: One of them; None: all that TensorRT runs.

    Raises:
        ConfigError: If the package does not hold it, or TensorRT does not run it.
    """
    usable = tuple(precision for precision in PRECISIONS if precision in package.models)
    found = tuple(precision for precision in usable if asked in (None, precision))
    if not found:
        raise ConfigError(
            "--precision",
            expected=f"one that TensorRT runs and the package has: {', '.join(usable)}",
            found=repr(asked),
            remedy="Choose one of these, or export the package with it",
        )
    return found


def prepare_engine(
    package: ModelPackage,
    precision: Precision,
    cache: EngineCache,
    options: BuildOptions,
    progress: BuildProgress | None = None,
    gate: Gate | None = None,
) -> PreparedEngine:
    """Build an engine, have it answer the canary and do without mistake in a full batch, and keep it.

    Args:
        package: Verified.
        precision: Of the network to build.
        cache: Where it is kept.
        options: How it is built.
        progress: Called with steps done and in all; may raise to stop.
        gate: What the engine must pass besides.

    Raises:
        MissingExtraError: If TensorRT or CUDA's bindings are not installed.
        EngineError: If there is no GPU, the engine cannot be built, or it answers wrongly: then it is not kept.
        OutputError: If the cache cannot be written.
    """
    library, gpu = Library(), current_gpu()
    inputs = input_range(package.plan, package.genotype.architecture)
    key = make_key(package.models[precision], precision, library.trt.__version__, gpu, inputs)
    if options.hardware_compatible:
        key = key.for_all_gpus()
    started = time.monotonic()
    built = build(library, package.models[precision], inputs, options, timings=cache.timings(key), progress=progress)
    seconds = time.monotonic() - started
    engine = TensorRtEngine(LoadedEngine(library, built.plan), inputs, precision=precision)
    _prove(engine, package, inputs.most[0])
    if gate is not None:
        gate(engine)
    single_ms, batch_ms = _latencies(engine, package.canary.patches_BCXYZ, inputs.most[0])
    path = cache.keep(key, built.plan)
    cache.keep_timings(key, built.timings)
    return PreparedEngine(
        name=engine.name,
        gpu=key.gpu,
        precision=precision,
        plan=built.plan,
        path=path,
        build_seconds=seconds,
        single_ms=single_ms,
        batch=inputs.most[0],
        batch_ms=batch_ms,
    )


def _prove(engine: Engine, package: ModelPackage, batch: int) -> None:
    """Have an engine answer the canary, and keep the patches of a full batch apart."""
    check_canary(engine, package.canary, package.artefact(engine.precision).canary)
    check_batches(engine, package.canary, batch)


def _latencies(engine: Engine, patch_BCXYZ: PatchesBCXYZ, batch: int) -> tuple[float, float]:
    """Milliseconds of one patch, and of a batch of its copies."""
    full = np.repeat(patch_BCXYZ, batch, axis=0)
    (single_ms,), (batch_ms,) = (latencies_ms([(engine, patches)], repeats=_REPEATS) for patches in (patch_BCXYZ, full))
    return single_ms, batch_ms
