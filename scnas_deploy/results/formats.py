"""Writing a result in the forms that were asked for, all of them or none, each proven before it is handed out."""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ConfigError, FormatError, ScnasError
from scnas_deploy.files import atomic_path, make_folder
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.identity import identity_of
from scnas_deploy.results.other_proofs import prove_belonging, prove_report, prove_structure_set
from scnas_deploy.results.preview import make_preview, make_secondary_capture
from scnas_deploy.results.proof import prove_segmentation
from scnas_deploy.results.report import make_report
from scnas_deploy.results.segmentation_object import SegmentationType, make_segmentation
from scnas_deploy.results.source import Source, source_of
from scnas_deploy.results.structure_set import make_structure_set


class Format(StrEnum):
    """A form of a result."""

    NIFTI = "nifti"
    SEG = "dicom-seg"
    LABELMAP = "dicom-labelmap"
    SR = "sr"
    RTSTRUCT = "rtstruct"
    PREVIEW = "preview"


_DICOM: Final = {Format.SEG, Format.LABELMAP, Format.SR, Format.RTSTRUCT}
_NAMES: Final = {
    Format.NIFTI: "labels.nii.gz",
    Format.SEG: "seg.dcm",
    Format.LABELMAP: "labelmap.dcm",
    Format.SR: "sr.dcm",
    Format.RTSTRUCT: "rtstruct.dcm",
}
_SEGMENTATIONS: Final[tuple[tuple[Format, str, SegmentationType], ...]] = (
    (Format.LABELMAP, "labelmap", "LABELMAP"),
    (Format.SEG, "seg", "BINARY"),
)
"""A report refers to the last of them that there is."""

_PICTURE, _CAPTURE = "preview.png", "preview.dcm"


def parse_formats(text: str) -> tuple[Format, ...]:
    """Read 'dicom-seg,sr'.

    Raises:
        ConfigError: If one is not known, or a report has no segmentation object to refer to.
    """
    known = [each.value for each in Format]
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        found = repr(unknown[0]) if unknown else "none"
        raise ConfigError("--format", expected=f"some of {', '.join(known)}", found=found, remedy="Correct it")
    formats = tuple(dict.fromkeys(Format(name) for name in names))
    if Format.SR in formats and not {Format.SEG, Format.LABELMAP} & set(formats):
        raise ConfigError(
            "--format",
            expected="a segmentation object that the report refers to",
            found="sr alone",
            remedy="Add dicom-seg",
        )
    return formats


def format_of(name: str) -> Format:
    """Return the form that a file of :func:`write_results` has, by its name."""
    forms = {file: form for form, file in _NAMES.items()} | dict.fromkeys((_PICTURE, _CAPTURE), Format.PREVIEW)
    return forms[name]


def write_results(result: Segmentation, folder: Path, formats: Sequence[Format]) -> tuple[Path, ...]:
    """Write a result into a folder.

    Args:
        result: What was found.
        folder: Made where there is none.
        formats: Forms of it.

    Returns:
        The files. A segmentation object and a structure set of no structure are not made.

    Raises:
        ConfigError: If DICOM forms are wanted of a study that is none.
        ProofError: If a form, read back, says something else; nothing has been written then.
        OutputError: If the folder cannot be written to.
    """
    source = source_for(result.study, formats)
    contents = encode_results(result, source, formats)
    make_folder(folder)
    for name, data in contents.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(data)
    if Format.NIFTI in formats:
        result.save(folder / _NAMES[Format.NIFTI])
    names = [*contents, *([_NAMES[Format.NIFTI]] if Format.NIFTI in formats else [])]
    return tuple(folder / name for name in names)


def source_for(study: Volume, formats: Sequence[Format]) -> Source | None:
    """Return the DICOM objects that forms of a study refer to; a preview does without where there are none.

    Raises:
        ConfigError: If DICOM forms are wanted of a study that they cannot refer to.
        FormatError: If one of its objects cannot be read any more.
    """
    if not _DICOM & set(formats):
        referable = study.dicom is not None and study.dicom.planes[0].instance.frame_of_reference
        if Format.PREVIEW not in formats or not referable:
            return None
    return source_of(study)


def encode_results(result: Segmentation, source: Source | None, formats: Sequence[Format]) -> Mapping[str, bytes]:
    """Make and prove all forms but NIfTI: file name -> its bytes."""
    contents = {} if source is None else _dicom_forms(result, source, formats)
    if Format.PREVIEW in formats:
        contents |= _preview_forms(result, source)
    return contents


def _dicom_forms(result: Segmentation, source: Source, formats: Sequence[Format]) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    referred = None
    for wanted, named, kind in _SEGMENTATIONS:
        if wanted in formats:
            dataset = _made(make_segmentation, result, source, identity_of(named, result, source), kind)
            if dataset is not None:
                made[_NAMES[wanted]] = data = _bytes_of(dataset)
                prove_segmentation(data, result, source)
                referred = dataset
    if Format.SR in formats:
        refers_to = None if referred is None else str(referred.SOPInstanceUID)
        identity = identity_of("sr", result, source, refers_to or "")
        made[_NAMES[Format.SR]] = data = _bytes_of(_made(make_report, result, source, identity, referred))
        prove_report(data, result, source, refers_to)
    if Format.RTSTRUCT in formats:
        structure_set = _made(make_structure_set, result, source, identity_of("rtstruct", result, source))
        if structure_set is not None:
            made[_NAMES[Format.RTSTRUCT]] = data = _bytes_of(structure_set)
            prove_structure_set(data, result, source)
    return made


def _preview_forms(result: Segmentation, source: Source | None) -> dict[str, bytes]:
    from PIL import Image

    picture, buffer = make_preview(result), io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    forms = {_PICTURE: buffer.getvalue()}
    if source is not None:
        identity = identity_of("preview", result, source)
        forms[_CAPTURE] = data = _bytes_of(_made(make_secondary_capture, picture, result, source, identity))
        prove_belonging(data, source, "the preview")
    return forms


def _made(make: Callable[..., Any], *arguments: Any) -> Any:
    """Make a form; what a header holds that its writer cannot copy is no traceback, which would quote it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values too
            return make(*arguments)
    except ScnasError:
        raise
    except Exception as error:  # noqa: BLE001  # the library raises what comes
        kind = type(error).__name__
    raise FormatError(
        "the study",
        expected="objects whose attributes can be copied into results",
        found=f"some that cannot ({kind})",
        remedy="Ask for --format nifti, and have the study's attributes corrected where it comes from",
    )


def _bytes_of(dataset: Any) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
