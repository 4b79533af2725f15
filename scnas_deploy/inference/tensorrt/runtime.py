"""Running a built engine.

Legend: B patches, C channels, K classes, X Y Z voxels.
"""

from typing import Any, Final

import numpy as np

from scnas_deploy.inference.tensorrt.cuda import Buffer, Stream, download, upload
from scnas_deploy.inference.tensorrt.library import Library
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ

_BUILD_AGAIN: Final = "Build it again with scnas export --trt"
_ANOTHER_ENGINE: Final = "Take another engine with --engine"


class LoadedEngine:
    """An engine in the GPU's memory: one input, one output, both float32.

    Args:
        library: It stays as long as the engine.
        plan: What the builder made, of bytes that were verified: loading them is running what they say.

    Raises:
        EngineError: If TensorRT cannot load it.
    """

    def __init__(self, library: Library, plan: bytes) -> None:
        self.library = library
        self._runtime = library.make(library.trt.Runtime, library.log)
        engine = self._runtime.deserialize_cuda_engine(plan)
        self.engine: Any = library.need(engine, "an engine that TensorRT can load", _BUILD_AGAIN)
        self.input, self.output = self._tensors()

    def _tensors(self) -> tuple[str, str]:
        """Names of the input and the output."""
        trt, engine = self.library.trt, self.engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        modes = [engine.get_tensor_mode(name) for name in names]
        kinds = [engine.get_tensor_dtype(name) for name in names]
        if sorted(modes, key=int) != [trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT] or set(kinds) != {
            trt.DataType.FLOAT
        }:
            raise self.library.refusal("one input and one output of float32", _BUILD_AGAIN)
        first, second = names
        return (first, second) if modes[0] == trt.TensorIOMode.INPUT else (second, first)


class Lane:
    """What one call at a time needs: an execution context, a stream and buffers of its own.

    Two lanes let the copies of one call go beside the computation of another.

    Raises:
        EngineError: If the GPU has no memory left for it.
    """

    def __init__(self, loaded: LoadedEngine) -> None:
        self._loaded, self._library = loaded, loaded.library
        context = loaded.engine.create_execution_context()
        self._context: Any = self._library.need(context, "enough memory on the GPU for a context", _ANOTHER_ENGINE)
        self._stream, self._patches, self._logits = Stream(), Buffer(), Buffer()

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of a shape that the engine was built for.

        Raises:
            EngineError: If the engine refuses it or the GPU fails.
        """
        context, stream = self._context, self._stream
        accepted = context.set_input_shape(self._loaded.input, tuple(patches_BCXYZ.shape))
        self._library.need(accepted, "patches the model can take", _ANOTHER_ENGINE)
        patches, patches_at = self._patches.fit(patches_BCXYZ.shape)
        logits, logits_at = self._logits.fit(tuple(context.get_tensor_shape(self._loaded.output)))
        for name, address in ((self._loaded.input, patches_at), (self._loaded.output, logits_at)):
            self._library.need(context.set_tensor_address(name, address), "memory for the tensors", _ANOTHER_ENGINE)
        np.copyto(patches, patches_BCXYZ)
        upload(patches, patches_at, stream)
        started = context.execute_async_v3(int(stream.handle))
        self._library.need(started, "a network that runs", _ANOTHER_ENGINE)
        download(logits, logits_at, stream)
        stream.wait()
        return logits.copy()
