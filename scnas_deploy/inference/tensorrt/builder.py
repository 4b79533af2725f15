"""Building an engine from an ONNX file, for this machine's GPU.

The network is strongly typed: every layer computes in the precision that the ONNX file gives it. TF32 is off, since it
rounds the factors of float32 products to 10 bits, which the parity gate's limits of float32 do not allow for; whoever
wants the tensor cores takes the float16 file, whose norms and reductions stay in float32.
"""

from dataclasses import dataclass
from typing import Any, Final

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.tensorrt.library import Library
from scnas_deploy.inference.tensorrt.progress import BuildProgress, BuildState, monitor_of, watched

_EXPORT_AGAIN: Final = "Export the model again, or take another engine with --engine"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """How an engine is built."""

    workspace_bytes: int | None = None
    """Most memory of the GPU that a layer may use besides its tensors; None: all there is."""
    hardware_compatible: bool = False
    """For all GPUs from Ampere on instead of this one alone; slower, since fewer kernels come into question."""


DEFAULTS: Final = BuildOptions()


@dataclass(frozen=True, slots=True)
class Built:
    """What a build leaves."""

    plan: bytes
    """The engine, for this GPU and this version of TensorRT."""
    timings: bytes
    """What the kernels took: another build with the same layers takes a part of the time with it."""


def build(
    library: Library,
    model: bytes,
    inputs: InputRange,
    options: BuildOptions = DEFAULTS,
    *,
    timings: bytes = b"",
    progress: BuildProgress | None = None,
) -> Built:
    """Build an engine.

    Args:
        library: TensorRT.
        model: The ONNX file's bytes.
        inputs: The batches it will be asked.
        options: How.
        timings: Those of an earlier build on this GPU.
        progress: Called with steps done and in all; may raise to stop.

    Raises:
        EngineError: If TensorRT cannot parse or build the network.
    """
    trt, state = library.trt, BuildState()
    builder = library.make(trt.Builder, library.log)
    network = builder.create_network()
    parser = _parse(library, network, model)
    config = builder.create_builder_config()
    _configure(trt, config, options)
    _add_profile(library, builder, config, network.get_input(0).name, inputs)
    timing_cache = _use_timings(config, timings)
    monitor = config.progress_monitor = monitor_of(trt, state)
    plan = watched(lambda: builder.build_serialized_network(network, config), state, progress)
    del parser, monitor  # the builder has used the parser's weights, and the monitor, without owning them
    library.need(plan, "a network that TensorRT can build", _EXPORT_AGAIN)
    return Built(bytes(plan), bytes(timing_cache.serialize()))


def _configure(trt: Any, config: Any, options: BuildOptions) -> None:
    config.clear_flag(trt.BuilderFlag.TF32)
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS


def _parse(library: Library, network: Any, model: bytes) -> Any:
    parser = library.make(library.trt.OnnxParser, network, library.log)
    if not parser.parse(model):
        problems = (parser.get_error(index) for index in range(parser.num_errors))
        texts = [f"{problem.desc()} (at {problem.node_name() or 'the file itself'})" for problem in problems]
        raise EngineError(
            f"tensorrt {library.trt.__version__}",
            expected="a loadable ONNX model",
            found=" ".join("; ".join(texts).split())[:300] or "a failure without a reason",
            remedy=_EXPORT_AGAIN,
        )
    return parser


def _add_profile(library: Library, builder: Any, config: Any, name: str, inputs: InputRange) -> None:
    profile = builder.create_optimization_profile()
    try:
        profile.set_shape(name, inputs.least, inputs.usual, inputs.most)
    except ValueError as error:
        raise library.refusal(f"a network for batches of {inputs}", _EXPORT_AGAIN) from error
    added = config.add_optimization_profile(profile) >= 0
    library.need(added, f"a network for batches of {inputs}", _EXPORT_AGAIN)


def _use_timings(config: Any, timings: bytes) -> Any:
    """Start from earlier timings, or from none where they are another GPU's or damaged.

    Returns:
        What the builder adds its own to; it must live until the engine is built.
    """
    earlier = config.create_timing_cache(timings)
    if earlier is not None and config.set_timing_cache(earlier, ignore_mismatch=False):
        return earlier
    empty = config.create_timing_cache(b"")
    config.set_timing_cache(empty, ignore_mismatch=False)
    return empty
