"""TensorRT on an NVIDIA GPU.

Legend: B patches, K classes, X Y Z voxels.
"""

import logging
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from scnas_deploy.errors import EngineError, OutputError
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.inference.tensorrt.builder import build
from scnas_deploy.inference.tensorrt.cache import EngineCache, EngineKey, make_key, user_engines
from scnas_deploy.inference.tensorrt.cuda import current_gpu
from scnas_deploy.inference.tensorrt.library import Library
from scnas_deploy.inference.tensorrt.runtime import Lane, LoadedEngine
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ

_log = logging.getLogger(__name__)


class TensorRtEngine:
    """Runs a built engine.

    Args:
        loaded: The engine in the GPU's memory.
        inputs: The shapes it was built for.
        precision: Of the ONNX file it was built from.
        forget: Removes what is kept of it for the next time.

    Raises:
        EngineError: If the GPU has not enough memory.
    """

    device = "CUDA"

    def __init__(
        self,
        loaded: LoadedEngine,
        inputs: InputRange,
        *,
        precision: Precision,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = f"tensorrt {loaded.library.trt.__version__}"
        self.precision = precision
        self.forget = forget
        self.preferred_batch = inputs.usual[0]
        self._inputs = inputs
        lanes = [Lane(loaded)]
        if not inputs.is_whole:  # whose tensors would take too much memory twice
            with suppress(EngineError):  # without the memory for it, copies wait for computations
                lanes.append(Lane(loaded))
        self.concurrency = len(lanes)
        self._lanes: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in lanes:
            self._lanes.put(lane)

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches; one larger than the engine was built for in several parts."""
        self._check(patches_BCXYZ.shape)
        most = self._inputs.most[0]
        starts = range(0, len(patches_BCXYZ), most)
        with self._lane() as lane:
            parts = [lane.run(patches_BCXYZ[start : start + most]) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._lanes.get()
        try:
            yield lane
        finally:
            self._lanes.put(lane)

    def _check(self, shape: tuple[int, ...]) -> None:
        if not shape[0] or not self._inputs.holds((1, *shape[1:])):
            raise EngineError(
                self.name,
                expected=f"patches the model can take, {self._inputs}",
                found=str(shape),
                remedy="Take another engine with --engine, or export the model again for such patches",
            )


def open_tensorrt(
    model: bytes, *, precision: Precision, inputs: InputRange, cache: EngineCache | None = None
) -> TensorRtEngine:
    """Open the engine of a network that is kept for this GPU; where there is none, build it, which takes minutes.

    Args:
        model: The ONNX file's bytes.
        precision: Of that file.
        inputs: The batches it will be asked.
        cache: Where engines are kept; None: the user's.

    Raises:
        MissingExtraError: If TensorRT or CUDA's bindings are not installed.
        EngineError: If there is no GPU, or the engine cannot be built or loaded.
    """
    library, gpu, cache = Library(), current_gpu(), cache or user_engines()
    key = make_key(model, precision, library.trt.__version__, gpu, inputs)
    loaded = _kept(library, cache, key) or _built(library, cache, key, model, inputs)
    return TensorRtEngine(loaded, inputs, precision=precision, forget=lambda: cache.drop(key))


def _kept(library: Library, cache: EngineCache, key: EngineKey) -> LoadedEngine | None:
    try:
        plan = cache.find(key)
        return None if plan is None else LoadedEngine(library, plan)
    except EngineError as error:
        _log.warning("The engine that was kept cannot be used, it is built again: %s", error)
        return None


def _built(library: Library, cache: EngineCache, key: EngineKey, model: bytes, inputs: InputRange) -> LoadedEngine:
    _log.warning("Building a TensorRT engine for %s: once for each network, and it takes minutes.", key.gpu)
    built = build(library, model, inputs, timings=cache.timings(key))
    loaded = LoadedEngine(library, built.plan)
    try:
        cache.keep(key, built.plan)
        cache.keep_timings(key, built.timings)
    except OutputError as error:
        _log.warning("The engine is not kept for the next time: %s", error)
    return loaded
