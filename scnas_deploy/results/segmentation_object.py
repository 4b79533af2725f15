"""DICOM Segmentation objects (PS3.3 A.51), written by highdicom: one object, a segment for each structure found."""

from typing import Any, Literal

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results import algorithm, concepts
from scnas_deploy.results.color import cielab
from scnas_deploy.results.identity import MANUFACTURER, RESEARCH_USE, Identity, stamp, uid
from scnas_deploy.results.library import highdicom
from scnas_deploy.results.source import Source

SegmentationType = Literal["BINARY", "LABELMAP"]


def found_labels(result: Segmentation, source: Source) -> tuple[Label, ...]:
    """Structures that have pixels on the source's planes, in the plan's order; the first is segment number 1."""
    present = set(np.unique(source.origin.on_planes(result.labels_XYZ)).tolist())
    return tuple(label for label in result.labels if label.value in present)


def segment_planes(result: Segmentation, source: Source) -> np.ndarray:
    """Segment numbers on the source's planes in the order of its frames, (planes, rows, columns); 0 is background."""
    labels = found_labels(result, source)
    dtype = np.uint8 if len(labels) < 256 else np.uint16
    numbers = np.zeros(int(result.labels_XYZ.max()) + 1, dtype=dtype)
    for number, label in enumerate(labels, start=1):
        numbers[label.value] = number
    return source.origin.on_planes(numbers[result.labels_XYZ])[source.frame_order]


def make_segmentation(
    result: Segmentation, source: Source, identity: Identity, kind: SegmentationType = "BINARY"
) -> Any | None:
    """Make the object.

    Returns:
        A data set; None where no structure was found, since a segment must have pixels.
    """
    labels = found_labels(result, source)
    if not labels:
        return None
    library = highdicom()
    made = library.seg.Segmentation(
        source_images=[_with_shared_geometry(header, source) for header in source.headers],
        pixel_array=segment_planes(result, source),
        segmentation_type=kind,
        segment_descriptions=[_description(n, label, result, source) for n, label in enumerate(labels, start=1)],
        series_instance_uid=identity.series_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=algorithm.model_name(result),
        software_versions=algorithm.software(),
        device_serial_number=result.model_digest[:16],
        content_label="SEGMENTATION",
        content_description=RESEARCH_USE,
        series_description=f"{result.model_name} (research use)"[:64],
        pixel_measures=_measures(source),
        plane_orientation=_orientation(source),
        plane_positions=_positions(source),
    )
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid(kind, "dimensions", result, source)  # the library draws one at random
    stamp(made, identity)
    return made


def _with_shared_geometry(header: Any, source: Source) -> Any:
    """An enhanced object's header as the library needs it: pixel measures and orientation said once for all frames."""
    if "SharedFunctionalGroupsSequence" in header:
        shared = header.SharedFunctionalGroupsSequence[0]
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = _measures(source), _orientation(source)
    return header


def _description(number: int, label: Label, result: Segmentation, source: Source) -> Any:
    library = highdicom()
    return library.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name[:64],
        segmented_property_category=concepts.category(),
        segmented_property_type=concepts.type_of(label),
        algorithm_type=library.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm.identification(result),
        tracking_uid=uid("tracking", str(label.value), result, source),
        tracking_id=label.name[:64],
        display_color=library.color.CIELabColor(*cielab(label.color)),
    )


def _measures(source: Source) -> Any:
    columns_mm, rows_mm = source.origin.stack.spacing_mm
    distance = float(np.median(np.diff(source.origin.stack.heights_mm)))
    return highdicom().PixelMeasuresSequence(
        pixel_spacing=(rows_mm, columns_mm), slice_thickness=distance, spacing_between_slices=distance
    )


def _orientation(source: Source) -> Any:
    stack = source.origin.stack
    return highdicom().PlaneOrientationSequence("PATIENT", [*map(float, stack.row), *map(float, stack.column)])


def _positions(source: Source) -> list[Any]:
    library = highdicom()
    return [
        library.PlanePositionSequence("PATIENT", tuple(map(float, position)))
        for position in source.origin.stack.positions_mm[source.frame_order]
    ]
