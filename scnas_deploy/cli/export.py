"""scnas export: a trained run becomes a model package, a package becomes what a server or a GPU takes."""

from pathlib import Path
from typing import Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say
from scnas_deploy.cli.export_package import TritonRequest, write_triton
from scnas_deploy.cli.export_run import RunRequest, write_package
from scnas_deploy.cli.export_tensorrt import TensorRtRequest, build_engines, build_engines_here, tensorrt_request


def export(
    package: Annotated[
        Path | None, typer.Argument(help="A package that is exported further; left out, a training run is exported.")
    ] = None,
    project: options.ProjectOption = Path(),
    name: Annotated[str | None, typer.Option("--name", help="The training run to export; left out, train.")] = None,
    model_name: Annotated[str | None, typer.Option("--as", help="Name of the model; left out, the plan's.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Package to write; left out, in the run's folder.")
    ] = None,
    weights: Annotated[
        bool, typer.Option(help="Keep PyTorch's weights in the package, beside the same numbers in ONNX.")
    ] = True,
    fp16: Annotated[bool, typer.Option("--fp16", help="Also in half precision, for GPUs.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also in eight bits, for OpenVINO, calibrated on training cases.")
    ] = False,
    install: Annotated[bool, typer.Option(help="Put the package into the model folder.")] = True,
    triton: Annotated[
        Path | None,
        typer.Option(
            "--triton", help="Model repository of a Triton server to put the network into; with --trt, the engine."
        ),
    ] = None,
    trt: Annotated[bool, typer.Option("--trt", help="Build TensorRT engines for this machine's GPU.")] = False,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", help="float16 or float32; left out, --trt takes all of the package's, --triton float32."
        ),
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", help="With --trt: most GPU memory of a layer, as 4g; else all there is."),
    ] = None,
    hardware_compatible: Annotated[
        bool,
        typer.Option("--hardware-compatible", help="With --trt: for any GPU from Ampere on; slower."),
    ] = False,
) -> None:
    """Export a trained network to a package, proven against PyTorch on real patches."""
    served = TritonRequest(folder=triton, name=model_name, precision=precision) if triton is not None else None
    asked = precision if trt or served is None else None
    tensorrt = tensorrt_request(trt, asked, workspace, hardware_compatible, triton)
    if package is not None:
        _refuse_precisions(fp16=fp16, int8=int8)
        _refuse_of_a_run(
            name=name, output=output, no_install=None if install else True, no_weights=None if weights else True
        )
        _export_further(package, served, tensorrt)
        return
    _refuse_precision_left_out(precision, fp16=fp16, int8=int8)
    request = RunRequest(project=project, name=name, called=model_name, output=output, half=fp16, int8=int8)
    made = write_package(request, weights=weights)
    if install:
        models = options.model_folder()
        models.install(made.path, made.name)
        say(f"Installed as '{made.name}' in {models.path}.")
        say("Next: scnas segment STUDY.nii.gz")
    engines = () if tensorrt is None else build_engines_here(made.path, tensorrt, made.gate)
    if served is not None and (tensorrt is None or engines):
        write_triton(made.path, served, engines)


def _export_further(package: Path, served: TritonRequest | None, tensorrt: TensorRtRequest | None) -> None:
    from scnas_deploy.errors import ConfigError

    if served is None and tensorrt is None:
        raise ConfigError(
            "PACKAGE", expected="--trt or --triton DIR with a package", found="nothing to make", remedy="Give one"
        )
    engines = () if tensorrt is None else build_engines(package, tensorrt)
    if served is not None:
        write_triton(package, served, engines)


def _refuse_precisions(*, fp16: bool, int8: bool) -> None:
    """Another precision is proven on real patches, which a package does not hold."""
    from scnas_deploy.errors import ConfigError

    if fp16 or int8:
        raise ConfigError(
            "--fp16" if fp16 else "--int8",
            expected="a training run, whose dataset proves the precision",
            found="a package",
            remedy="Export the run with it",
        )


def _refuse_of_a_run(**given: object) -> None:
    """A package is as it is; these options say how one is made."""
    from scnas_deploy.errors import ConfigError

    if names := options.names_of_given(given):
        raise ConfigError(
            "PACKAGE",
            expected="none of the options that say how a run is exported",
            found=", ".join(names),
            remedy="Leave them out, or export the run with them",
        )


def _refuse_precision_left_out(asked: str | None, *, fp16: bool, int8: bool) -> None:
    """Refuse to make something of a precision that the package will not have, before it is exported for long."""
    from scnas_deploy.errors import ConfigError

    exported = ["float32", *(["float16"] if fp16 else []), *(["int8"] if int8 else [])]
    if asked not in (None, *exported):
        raise ConfigError(
            "--precision",
            expected=f"one of those that are exported: {', '.join(exported)}",
            found=repr(asked),
            remedy="Add --fp16 for float16, --int8 for int8, or choose one of these",
        )
