"""scnas export of a training run: its package, proven against PyTorch on real patches."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, say, table

if TYPE_CHECKING:
    from scnas_deploy.export.package import Description
    from scnas_deploy.inference.manifest import Manifest, ParityRecord
    from scnas_deploy.inference.tensorrt.preparation import Gate
    from scnas_deploy.training.runs import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """Which run is exported, and to what."""

    project: Path
    name: str | None = None
    """Of the run; None is train."""
    called: str | None = None
    """Name of the model; None takes the plan's."""
    output: Path | None = None
    """The package; None lies in the run's folder."""
    half: bool = False
    """Also in half precision."""
    int8: bool = False
    """Also in eight bits."""


@dataclass(frozen=True, slots=True)
class WrittenPackage:
    """A package that was just made of a run."""

    path: Path
    name: str
    gate: "Gate"
    """What engines that are built of it must pass besides."""


def write_package(request: RunRequest, *, weights: bool) -> WrittenPackage:
    """Export a run's network to a package, and print how far its engines are from PyTorch.

    Args:
        request: The run.
        weights: Keep PyTorch's weights in the package.
    """
    options.require_training()
    if request.int8:
        _require_calibration()
    project, dataset = options.open_project(request.project)
    run = options.started_run(request.project, request.name or "train")
    from scnas_deploy.export.amending import amended

    plan, genotype = amended(run.network_plan(), project), run.genotype()
    from scnas_deploy.export.package import ExportOptions, export_package
    from scnas_deploy.export.proof import gate_of
    from scnas_deploy.export.real_patches import RealImages
    from scnas_deploy.files import check_writable
    from scnas_deploy.inference.package import SUFFIX
    from scnas_deploy.training.run import load_network

    network = load_network(run.path, genotype, plan)
    called = request.called or re.sub(r"[^a-z0-9]+", "-", plan.name.lower()).strip("-") or "model"
    _check_name(called)
    target = request.output or run.path / f"{called}{SUFFIX}"
    check_writable(target)
    note("Exporting to ONNX and comparing engines on real patches")
    real = RealImages(run, dataset, request.project / ".scnas" / "cache")
    calibration = real.for_calibration() if request.int8 else ()
    wanted = ExportOptions(half=request.half, calibration=calibration, weights=weights)
    patches = real.for_parity()
    manifest = export_package(network, genotype, plan, patches, _describe(run, called), target, wanted)
    _print(manifest, target)
    return WrittenPackage(target, called, gate_of(network, patches))


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
    table(columns, rows, words=("precision",))
    say(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB)")


def _figures(record: "ParityRecord") -> list[str]:
    lost = "-" if record.dice_loss is None else f"{record.dice_loss:.4f}"
    return [f"{record.max_abs_error:.2e}", f"{record.label_agreement:.6f}", f"{record.label_dice:.6f}", lost]
