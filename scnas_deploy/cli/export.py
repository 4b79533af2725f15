"""scnas export: a trained run becomes a model package, a package becomes what a server or a GPU takes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, say, table
from scnas_deploy.cli.export_package import TritonRequest, write_triton
from scnas_deploy.cli.export_tensorrt import TensorRtRequest, build_engines, build_engines_here, tensorrt_request

if TYPE_CHECKING:
    from scnas_deploy.export.package import Description
    from scnas_deploy.inference.manifest import Manifest, ParityRecord
    from scnas_deploy.training.runs import RunFolder


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
    options.require_training()
    if int8:
        _require_calibration()
    _, dataset = options.open_project(project)
    run = options.started_run(project, name or "train")
    plan, genotype = run.network_plan(), run.genotype()
    from scnas_deploy.export.package import ExportOptions, export_package
    from scnas_deploy.export.proof import gate_of
    from scnas_deploy.export.real_patches import RealImages
    from scnas_deploy.files import check_writable
    from scnas_deploy.inference.package import SUFFIX
    from scnas_deploy.training.run import load_network

    network = load_network(run.path, genotype, plan)
    called = model_name or re.sub(r"[^a-z0-9]+", "-", plan.name.lower()).strip("-") or "model"
    _check_name(called)
    target = output or run.path / f"{called}{SUFFIX}"
    check_writable(target)
    note("Exporting to ONNX and comparing engines on real patches")
    real = RealImages(run, dataset, project / ".scnas" / "cache")
    wanted = ExportOptions(half=fp16, calibration=real.for_calibration() if int8 else (), weights=weights)
    patches = real.for_parity()
    manifest = export_package(network, genotype, plan, patches, _describe(run, called), target, wanted)
    _print(manifest, target)
    if install:
        models = options.model_folder()
        models.install(target, called)
        say(f"Installed as '{called}' in {models.path}. Next: scnas segment STUDY.nii.gz")
    engines = () if tensorrt is None else build_engines_here(target, tensorrt, gate_of(network, patches))
    if served is not None and (tensorrt is None or engines):
        write_triton(target, served, engines)


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


def _require_calibration() -> None:
    from scnas_deploy.extras import check_installed

    check_installed("onnx", "nncf", extra="export", purpose="export in eight bits")
    check_installed("onnxruntime", extra="cpu", purpose="calibrating eight bits")


def _check_name(name: str) -> None:
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.inference.manifest import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(
            "--as", expected="letters, digits and . _ -", found=repr(name), remedy="Choose a name that can be a file's"
        )


def _describe(run: "RunFolder", name: str) -> "Description":
    from scnas_deploy.export.package import Description
    from scnas_deploy.inference.manifest import MeasuredDice, TrainingRecord

    record, evaluation = run.record(), run.evaluation()
    measured = None
    if evaluation is None:
        note("No evaluation yet: the package will carry no Dice. Run scnas evaluate first to have it.")
    else:
        by_label = evaluation.mean_dice()
        measured = MeasuredDice(num_cases=len(evaluation.cases), fold=record.fold, by_label=by_label)
    training = TrainingRecord(preset=record.preset, fold=record.fold, seed=record.config["seed"])
    return Description(name=name, measured_dice=measured, training=training)


def _print(manifest: "Manifest", target: Path) -> None:
    rows = [
        [record.engine, artefact.precision, *_figures(record)]
        for artefact in manifest.artefacts
        for record in artefact.parity
    ]
    columns = ["engine against PyTorch", "precision", "largest logit error", "label agreement", "Dice", "Dice lost"]
    table(columns, rows)
    say(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB)")


def _figures(record: "ParityRecord") -> list[str]:
    lost = "-" if record.dice_loss is None else f"{record.dice_loss:.4f}"
    return [f"{record.max_abs_error:.2e}", f"{record.label_agreement:.6f}", f"{record.label_dice:.6f}", lost]
