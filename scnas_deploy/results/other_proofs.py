"""Proving reports and structure sets before anybody gets them: from their bytes, not by what wrote them."""

import io
from collections.abc import Iterator
from typing import Any

from scnas_deploy.data.dicom.contours import roi_names, roi_on_planes
from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.errors import FormatError, ProofError
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.concepts import code_of
from scnas_deploy.results.source import Source

_FINDING, _VOLUME, _TRACKING = ("121071", "DCM"), ("118565006", "SCT"), ("112039", "DCM")
_ROUNDING_ML = 1e-6


def prove_structure_set(data: bytes, result: Segmentation, source: Source) -> None:
    """Fill the contours of an RTSTRUCT again, and compare every pixel.

    Raises:
        ProofError: If a structure, its place or one of its pixels is another.
    """
    dataset = pydicom().dcmread(io.BytesIO(data))
    _prove_belonging(dataset, source, "the structure set")
    _prove_references(dataset, source)
    planes = source.origin.on_planes(result.labels_XYZ)
    labels = [label for label in result.labels if (planes == label.value).any()]
    names = roi_names(dataset)
    if names != {number: label.name[:64] for number, label in enumerate(labels, start=1)}:
        raise _error("the structure set", f"{len(labels)} structures by their names", f"{len(names)}, or other names")
    for number, label in enumerate(labels, start=1):
        try:
            drawn = roi_on_planes(dataset, number, source.origin.stack)
        except FormatError as error:
            raise _error("the structure set", error.expected, error.found) from error
        differing = int((drawn != (planes == label.value)).sum())
        if differing:
            raise _error("the structure set", f"every pixel of '{label.name}'", f"{differing} that differ")


def _prove_references(dataset: Any, source: Source) -> None:
    """Every frame of reference and image that is named must be the source's."""
    known = {"ReferencedSOPInstanceUID": {str(header.SOPInstanceUID) for header in source.headers}}
    known["ReferencedSOPInstanceUID"].add(str(source.headers[0].StudyInstanceUID))
    frames = {str(source.headers[0].FrameOfReferenceUID)}
    known |= {"FrameOfReferenceUID": frames, "ReferencedFrameOfReferenceUID": frames}
    for element in dataset.iterall():
        if str(element.value) not in known.get(element.keyword, (str(element.value),)):
            raise _error("the structure set", f"the source's {element.keyword}", "another one")


def prove_belonging(data: bytes, source: Source, what: str) -> None:
    """Compare whose an object is with whose the source is.

    Raises:
        ProofError: If patient or study is another.
    """
    _prove_belonging(pydicom().dcmread(io.BytesIO(data), stop_before_pixels=True), source, what)


def prove_report(data: bytes, result: Segmentation, source: Source, segmentation_uid: str | None) -> None:
    """Read each structure's volume out of a report again, and what it refers to.

    Args:
        data: The report as it would be handed out.
        result: What it reports.
        source: The study's objects.
        segmentation_uid: SOP instance UID of the segmentation object; None where no structure was found.

    Raises:
        ProofError: If a structure, a volume or a reference is another.
    """
    dataset = pydicom().dcmread(io.BytesIO(data))
    _prove_belonging(dataset, source, "the report")
    found = {key: (ml, reference) for key, ml, reference in _groups(dataset)}
    volumes, number, planes = result.volumes_ml(), 0, source.origin.on_planes(result.labels_XYZ)
    for label in result.labels:
        present = bool((planes == label.value).any())
        number += present
        ml, reference = found.pop((label.name[:64], *code_of(label)), (float("nan"), None))
        if not abs(ml - volumes[label.name]) <= _ROUNDING_ML:
            raise _error("the report", f"{volumes[label.name]:.6f} ml of '{label.name}'", f"{ml:.6f} ml")
        if reference != ((segmentation_uid, number) if present else None):
            raise _error("the report", f"a reference to the segment of '{label.name}', if it has one", "another one")
    if found:
        raise _error("the report", f"{len(result.labels)} structures", f"{len(found)} more")


def _groups(dataset: Any) -> Iterator[tuple[tuple[str, ...], float, tuple[str, int] | None]]:
    """Name and code of the finding, volume in ml and referenced segment, of each group of measurements."""
    for item in _items(dataset):
        children = item.get("ContentSequence", ())
        findings = [child.ConceptCodeSequence[0] for child in children if _concept(child) == _FINDING]
        numbers = [child.MeasuredValueSequence[0] for child in children if _concept(child) == _VOLUME]
        names = [str(child.TextValue) for child in children if _concept(child) == _TRACKING]
        if not (findings and numbers and names):
            continue
        code, measured = findings[0], numbers[0]
        segments = [child.ReferencedSOPSequence[0] for child in children if child.ValueType == "IMAGE"]
        reference = (str(segments[0].ReferencedSOPInstanceUID), _segment(segments[0])) if segments else None
        if measured.MeasurementUnitsCodeSequence[0].CodeValue != "ml":
            raise _error("the report", "volumes in ml", "another unit")
        yield (
            (names[0], str(code.CodeValue), str(code.CodingSchemeDesignator), str(code.CodeMeaning)),
            float(measured.NumericValue),
            reference,
        )


def _segment(reference: Any) -> int:
    number = reference.ReferencedSegmentNumber
    return int(number if isinstance(number, int) else number[0])


def _items(dataset: Any) -> Iterator[Any]:
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _concept(item: Any) -> tuple[str, str]:
    names = item.get("ConceptNameCodeSequence")
    return (str(names[0].CodeValue), str(names[0].CodingSchemeDesignator)) if names else ("", "")


def _prove_belonging(dataset: Any, source: Source, what: str) -> None:
    header = source.headers[0]
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        if str(dataset.get(keyword, "")) != str(header.get(keyword, "")):
            raise _error(what, f"the study's {keyword}", "another one")


def _error(subject: str, expected: str, found: str) -> ProofError:
    return ProofError(
        subject,
        expected=expected,
        found=found,
        remedy="It was not handed out: report this with the version of scnas-deploy",
    )
