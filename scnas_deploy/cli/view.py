"""scnas view: a study and its masks in the browser, or as a page. Imports no PyTorch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import note, say
from scnas_deploy.cli.segment import Allowed

if TYPE_CHECKING:
    from scnas_deploy.data.plan import Label, Plan
    from scnas_deploy.data.volume import Volume
    from scnas_deploy.inference.segmentation import Segmentation
    from scnas_deploy.pages.viewer import Layer, Scene

_DIGEST_LETTERS = 12


def view(
    study: Annotated[Path, typer.Argument(help="NIfTI file; or a DICOM folder, zip or file.")],
    masks: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[SEG]...", help="Masks: label NIfTI, DICOM SEG or RTSTRUCT of the study."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Mask that a person drew, to compare with the one SEG.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="Model that names labels and chooses series; it computes nothing."),
    ] = None,
    series: Annotated[
        list[str] | None, typer.Option("--series", help="DICOM series to show, by UID or number; one for each channel.")
    ] = None,
    allow: Annotated[
        list[Allowed] | None,
        typer.Option("--allow", help="Correct DICOM planes that form no regular grid; repeatable."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write one HTML file that opens anywhere, and show nothing.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address and open no browser.")] = False,
) -> None:
    """Show a study with masks in three planes and 3-D, in the browser until Ctrl-C; nothing leaves this machine."""
    from scnas_deploy.cli.view_masks import referenced_series
    from scnas_deploy.cli.view_study import read_study
    from scnas_deploy.data.dicom.choice import SeriesChoice
    from scnas_deploy.data.nifti import is_nifti_name
    from scnas_deploy.pages.viewer import Scene, viewer_page

    given = list(masks or ())
    _check_save(save, no_browser=no_browser)
    _check_truth(truth, given)
    plan = options.open_trusted(options.model_folder().resolve(model)).plan if model else None
    how = SeriesChoice(named=tuple(series or ()), allow=tuple(each.value for each in allow or ()), force=True)
    drawn = [*given, *([] if truth is None else [truth])]
    volume = read_study(study, plan, how, [uid for uid in map(referenced_series, drawn) if uid])
    for text in volume.notes:
        note(f"note: {text}")
    known = _known_labels(plan) if any(map(is_nifti_name, drawn)) else ()
    layers = _layers(given, truth, volume, known)
    _finish(viewer_page(Scene(title="Study", volume=volume, layers=tuple(layers))), save, browser=not no_browser)


def show_result(result: "Segmentation", *, browser: bool) -> None:
    """Show what a study was segmented into, until Ctrl-C."""
    from scnas_deploy.errors import CapacityError
    from scnas_deploy.pages.viewer import viewer_page

    try:
        page = viewer_page(scene_of(result))
    except CapacityError as error:  # what was asked for first is done
        note(f"note: the result is not shown: {error.redacted}")
        return
    _finish(page, None, browser=browser)


def scene_of(result: "Segmentation") -> "Scene":
    """Make the scene of a segmented study."""
    from scnas_deploy.pages.viewer import Layer, Scene

    facts = [
        ("Model", result.model_name),
        ("Digest", result.model_digest.removeprefix("sha256:")[:_DIGEST_LETTERS]),
        ("Engine", result.engine),
    ]
    if result.outside_limits:
        facts.append(("Outside the model's limits", "; ".join(result.outside_limits)))
    layer = Layer(name="Prediction", labels_XYZ=result.labels_XYZ, labels=result.labels)
    return Scene(title="Segmented study", volume=result.study, layers=(layer,), facts=tuple(facts))


def _layers(masks: Sequence[Path], truth: Path | None, volume: "Volume", known: "tuple[Label, ...]") -> "list[Layer]":
    from scnas_deploy.cli.view_masks import read_mask

    names = ["Prediction"] if len(masks) == 1 else [f"Segmentation {k}" for k in range(1, len(masks) + 1)]
    layers = [layer for path, name in zip(masks, names, strict=True) for layer in read_mask(path, name, volume, known)]
    return layers if truth is None else [*layers, *read_mask(truth, "Truth", volume, known)]


def _known_labels(plan: "Plan | None") -> "tuple[Label, ...]":
    """Labels that may name a NIfTI mask's values: of the model that was named, else of the working folder's plan."""
    from scnas_deploy.data.plan import load_plan

    if plan is not None:
        return plan.labels
    own = Path("plan.json")
    return load_plan(own).labels if own.is_file() else ()


def _finish(page: str, save: Path | None, *, browser: bool) -> None:
    from scnas_deploy.cli.showing import HTML, show
    from scnas_deploy.files import write_text

    if save is not None:
        write_text(save, page)
        say(f"Wrote {save}. It holds the study's images: keep it where they may be kept.")
        return
    content = page.encode()
    show({"": lambda: (HTML, content)}, browser=browser)


def _check_save(save: Path | None, *, no_browser: bool) -> None:
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.files import check_writable

    if save is None:
        return
    if save.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("--save", expected="a name that ends in .html", found=save.name, remedy="Change the name")
    if no_browser:
        remedy = "Leave it out: a page that is written is not opened"
        raise ConfigError("--no-browser", expected="a page to show", found="--save beside it", remedy=remedy)
    check_writable(save)


def _check_truth(truth: Path | None, masks: Sequence[Path]) -> None:
    from scnas_deploy.errors import ConfigError

    if truth is not None and len(masks) > 1:
        raise ConfigError(
            "--truth", expected="one mask to compare it with", found=f"{len(masks)}", remedy="Give them one at a time"
        )
