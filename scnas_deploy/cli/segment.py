"""scnas segment: a study becomes a mask. Imports no PyTorch."""

import time
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, progress, say, say_json, table
from scnas_deploy.cli.explain import explain_series
from scnas_deploy.cli.target import Target

WORTH_SAYING_BYTES = 1e9


class Allowed(StrEnum):
    """Corrections of planes that form no regular grid."""

    GAPS = "resample-gaps"
    TILT = "shear-tilt"
    MOSAIC = "split-mosaic"


if TYPE_CHECKING:
    from scnas_deploy.data.dicom.choice import SeriesChoice
    from scnas_deploy.inference.capacity import Forecast
    from scnas_deploy.inference.model import Model, SegmentOptions
    from scnas_deploy.inference.segmentation import Segmentation


def segment(
    study: Annotated[
        list[Path],
        typer.Argument(
            help="NIfTI file, several of them for several channels in order; or a DICOM folder, zip or files."
        ),
    ],
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Installed model or package; left out, the default.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Label NIfTI to write, a folder with --format; left out, STUDY_seg.nii.gz here."
        ),
    ] = None,
    format: Annotated[  # noqa: A002  # the option's name
        str | None,
        typer.Option(
            "--format", help="nifti, dicom-seg, dicom-labelmap, sr, rtstruct, preview, several by commas, in a folder."
        ),
    ] = None,
    engine: options.EngineOption = "auto",
    precision: options.PrecisionOption = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the engine.")] = None,
    mirror: options.MirrorOption = False,
    max_memory: options.MaxMemoryOption = None,
    probabilities: Annotated[
        Path | None,
        typer.Option("--probabilities", help="Where to write every class' probability too (.npy, float16)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Segment even what the model was not made for.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="List every DICOM series with why it is taken or left, and stop.")
    ] = False,
    series: Annotated[
        list[str] | None,
        typer.Option("--series", help="DICOM series to take, by UID or number of --explain; one for each channel."),
    ] = None,
    allow: Annotated[
        list[Allowed] | None,
        typer.Option("--allow", help="Correct DICOM planes that form no regular grid; repeatable."),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option("--audit", help="File to add a line to: who, when, which UIDs, which model.")
    ] = None,
    view: Annotated[
        bool, typer.Option("--view", help="Show the study with its mask in the browser afterwards, until Ctrl-C.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="With --view: print the address and open no browser.")
    ] = False,
    require_signature: options.RequireSignatureOption = False,
    json: options.JsonOption = False,
) -> None:
    """Segment a study and print each structure's volume."""
    from scnas_deploy.data.dicom.choice import SeriesChoice
    from scnas_deploy.inference.model import SegmentOptions, load_model
    from scnas_deploy.results.audit import append_audit, check_audit

    started = time.monotonic()
    path, trust = options.model_folder().resolve(model), options.trust(require_signature=require_signature)
    how = SeriesChoice(named=tuple(series or ()), allow=tuple(each.value for each in allow or ()), force=force)
    if explain:
        explain_series(study, path, how, as_json=json)
        return
    target = Target.of(study, output, format)
    target.check(study)
    _check_view(view=view, no_browser=no_browser)
    _check_probabilities(probabilities)
    check_audit(audit)
    wanted = SegmentOptions(
        force=force,
        mirror=mirror,
        max_memory=options.bytes_of(max_memory),
        probabilities=probabilities,
        announce=_announce,
    )
    loaded = load_model(path, engine=engine, precision=precision, num_threads=threads, trust=trust)
    result = _segmented(loaded, study, how, wanted, target)
    outputs = target.write(result)
    if audit is not None:
        append_audit(audit, result, target.forms)
    _print(result, loaded.verdict.signer, target, outputs, time.monotonic() - started, as_json=json)
    if view:
        from scnas_deploy.cli.view import show_result

        show_result(result, browser=not no_browser)


def _segmented(
    loaded: "Model", study: list[Path], how: "SeriesChoice", wanted: "SegmentOptions", target: Target
) -> "Segmentation":
    """Read the study and segment it, and say on the way what the user should know."""
    from scnas_deploy.data.study import load_study
    from scnas_deploy.inference.engines.base import described

    volume = load_study(study, loaded.package.plan, how)
    target.require_source(volume)
    for text in volume.notes:
        note(f"note: {text}")
    name = loaded.package.manifest.name
    note(f"Model '{name}', {loaded.verdict}, on {described(loaded.engine)}: {loaded.engine_reason}.")
    with progress("Segmenting") as report:
        result = loaded.segment(volume, replace(wanted, progress=report))
    for text in result.outside_limits:
        note(f"warning: {text}; segmented because of --force, check the result.")
    return result


def _check_probabilities(path: Path | None) -> None:
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.files import check_writable

    if path is not None and path.suffix != ".npy":
        raise ConfigError(
            "--probabilities", expected="a file name ending in .npy", found=path.name, remedy="Change the name"
        )
    if path is not None:
        check_writable(path)


def _check_view(*, view: bool, no_browser: bool) -> None:
    from scnas_deploy.errors import ConfigError

    if no_browser and not view:
        raise ConfigError("--no-browser", expected="--view beside it", found="none", remedy="Leave it out")


def _announce(forecast: "Forecast") -> None:
    """State what a large study will take; small ones are gone before the line is read."""
    if forecast.peak > WORTH_SAYING_BYTES or forecast.more_patches > 1 or forecast.whole:
        columns = len(forecast.sweep.columns)
        cost = f" in {columns} columns, {forecast.more_patches:.2f} times the patches" if columns > 1 else ""
        more = ", and what the engine takes inside for a whole volume, which is not known" if forecast.whole else ""
        note(f"Memory: {forecast.peak / 1e9:.2f} GB at the peak{cost}{more}.")


def _print(
    result: "Segmentation",
    signer: str | None,
    target: Target,
    outputs: Sequence[Path],
    seconds: float,
    *,
    as_json: bool,
) -> None:
    memory = result.memory
    volumes = {name: round(ml, 4) for name, ml in result.volumes_ml().items()}
    if as_json:
        say_json(
            {
                "output": str(target.path),
                "files": [str(path) for path in outputs],
                "volumes_ml": volumes,
                "model": result.model_name,
                "model_digest": result.model_digest,
                "model_signed_by": signer,
                "engine": result.engine,
                "precision": result.precision,
                "seconds": round(seconds, 3),
                "memory_bytes": {"said": memory.said, "taken": memory.taken} if memory else None,
                "outside_limits": list(result.outside_limits),
                "corrections": list(result.study.dicom.all_corrections) if result.study.dicom else [],
                "notes": list(result.study.notes),
            }
        )
        return
    if memory and memory.said > WORTH_SAYING_BYTES and memory.taken is not None:
        note(f"Memory: {memory.said / 1e9:.2f} GB said, {memory.taken / 1e9:.2f} GB taken at the peak.")
    table(["structure", "ml"], [[name, f"{ml:.3f}"] for name, ml in volumes.items()])
    say(f"Wrote {target.path} in {seconds:.1f} s. For research use only.")
