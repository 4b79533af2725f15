"""scnas export --trt: TensorRT engines of a model package for this machine's GPU. Imports no PyTorch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scnas_deploy.cli import options
from scnas_deploy.cli.console import progress, say, table

if TYPE_CHECKING:
    from scnas_deploy.inference.tensorrt.preparation import Gate, PreparedEngine


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRtRequest:
    """What the command line asks of TensorRT."""

    precision: str | None = None
    """Of the package's; None: each that TensorRT runs."""
    workspace: str | None = None
    """Most GPU memory of a layer, as it was written."""
    hardware_compatible: bool = False
    triton: Path | None = None
    """The model repository that the engine goes into besides."""

    def options(self) -> str:
        """The command's options that ask for the same again."""
        given = ["--trt"]
        if self.precision is not None:
            given.append(f"--precision {self.precision}")
        if self.workspace is not None:
            given.append(f"--workspace {self.workspace}")
        if self.hardware_compatible:
            given.append("--hardware-compatible")
        return " ".join([*given, *([] if self.triton is None else [f"--triton {self.triton}"])])


def tensorrt_request(
    wanted: bool, precision: str | None, workspace: str | None, hardware_compatible: bool, triton: Path | None
) -> TensorRtRequest | None:
    """The options' request; None where --trt is not among them.

    Raises:
        ConfigError: If an amount of memory is none, or options are given that only mean something beside --trt.
    """
    from scnas_deploy.errors import ConfigError

    options.bytes_of(workspace, "--workspace")
    asked = TensorRtRequest(precision=precision, workspace=workspace, hardware_compatible=hardware_compatible)
    if wanted:
        return replace(asked, triton=triton)
    if asked != TensorRtRequest():
        raise ConfigError(
            "scnas export",
            expected="--trt beside --precision, --workspace and --hardware-compatible",
            found="no --trt",
            remedy="Add it, or leave them out",
        )
    return None


def build_engines(package: Path, request: TensorRtRequest, gate: "Gate | None" = None) -> "tuple[PreparedEngine, ...]":
    """Build a package's engines on the machine that will run them; ``gate`` is what each must pass besides."""
    from scnas_deploy.errors import EngineError
    from scnas_deploy.extras import check_installed
    from scnas_deploy.inference.engines.hardware import has_gpu

    workspace = options.bytes_of(request.workspace, "--workspace")
    check_installed("tensorrt", "cuda", extra="gpu", purpose="TensorRT engines")
    if not has_gpu():
        raise EngineError(
            "--trt",
            expected="an NVIDIA GPU, for which the engine is built",
            found="none that the driver shows",
            remedy="Run this command on the machine that will run the model",
        )
    from scnas_deploy.inference.tensorrt.builder import BuildOptions
    from scnas_deploy.inference.tensorrt.cache import user_engines
    from scnas_deploy.inference.tensorrt.preparation import buildable_precisions, prepare_engine

    how = BuildOptions(workspace_bytes=workspace, hardware_compatible=request.hardware_compatible)
    opened = options.open_trusted(package)
    made = []
    for precision in buildable_precisions(opened, request.precision):
        with progress(f"Building in {precision}") as report:
            made.append(prepare_engine(opened, precision, user_engines(), how, report, gate))
    rows = [
        [
            one.precision,
            f"{one.build_seconds:.0f}",
            f"{one.single_ms:.2f}",
            f"{one.batch_ms / one.batch:.2f} ({one.batch})",
            str(one.path),
        ]
        for one in made
    ]
    table(["precision", "seconds to build", "ms a patch", "in a batch (of)", "engine"], rows, words=("engine",))
    say(f"Built by {made[0].name} for {made[0].gpu}; each has answered the package's canary.")
    return tuple(made)


def build_engines_here(
    package: Path, request: TensorRtRequest, gate: "Gate | None" = None
) -> "tuple[PreparedEngine, ...]":
    """Build the engines of a package that was just exported; where that is not possible, say how to do it elsewhere."""
    from importlib.util import find_spec

    from scnas_deploy.inference.engines.hardware import has_gpu

    lacking = [
        *(["an NVIDIA GPU"] if not has_gpu() else []),
        *(["TensorRT"] if find_spec("tensorrt") is None else []),
    ]
    if not lacking:
        return build_engines(package, request, gate)
    say(f"No TensorRT engine was built, for want of {' and '.join(lacking)}. The package is complete and checked.")
    say(f"Finish on the machine with the GPU, without PyTorch: scnas export {package.name} {request.options()}")
    return ()
