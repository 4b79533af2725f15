"""Measurement reports (PS3.16 TID 1500): each structure's volume in millilitres, referring to its segment.

A structure without voxels is reported with 0 ml and refers to the series, since there is no segment to refer to. No
uncertainty is stated: none is known.
"""

from typing import Any, Final

from scnas_deploy.data.plan import Label
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results import algorithm, concepts
from scnas_deploy.results.identity import MANUFACTURER, RESEARCH_USE, Identity, stamp, uid
from scnas_deploy.results.library import highdicom
from scnas_deploy.results.segmentation_object import found_labels
from scnas_deploy.results.source import Source

_VOLUME: Final = ("118565006", "SCT", "Volume")
_MILLILITRE: Final = ("ml", "UCUM", "milliliter")
_PROCEDURE: Final = ("363679005", "SCT", "Imaging procedure")
_TITLE: Final = ("126000", "DCM", "Imaging Measurement Report")
_DIGITS: Final = 6


def make_report(result: Segmentation, source: Source, identity: Identity, segmentation: Any | None) -> Any:
    """Make the report.

    Args:
        result: What is reported.
        source: The study's objects.
        identity: Of the report.
        segmentation: The segmentation object it refers to; None where no structure was found.

    Returns:
        A data set of the class Comprehensive 3D SR.
    """
    library = highdicom()
    evidence = [*source.headers, *([] if segmentation is None else [segmentation])]
    made = library.sr.Comprehensive3DSR(
        evidence=evidence,
        content=_content(result, source, segmentation),
        series_instance_uid=identity.series_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_verified=False,
        series_description=f"{result.model_name} (research use)"[:64],
    )
    made.ManufacturerModelName = algorithm.model_name(result)
    made.SoftwareVersions = algorithm.software()
    made.DeviceSerialNumber = result.model_digest[:16]
    made.CompletionFlagDescription = RESEARCH_USE[:64]
    stamp(made, identity)
    return made


def _content(result: Segmentation, source: Source, segmentation: Any | None) -> Any:
    sr = highdicom().sr
    numbers = {label.value: number for number, label in enumerate(found_labels(result, source), start=1)}
    volumes = result.volumes_ml()
    groups = []
    for label in result.labels:
        measurements = [_volume(volumes[label.name], result)]
        tracking = sr.TrackingIdentifier(
            uid=uid("tracking", str(label.value), result, source), identifier=label.name[:64]
        )
        if label.value in numbers and segmentation is not None:
            groups.append(_found(label, numbers[label.value], tracking, measurements, segmentation, source))
        else:
            groups.append(
                sr.MeasurementsAndQualitativeEvaluations(
                    tracking_identifier=tracking,
                    finding_type=concepts.type_of(label),
                    finding_category=concepts.category(),
                    algorithm_id=_algorithm(result),
                    measurements=measurements,
                )
            )
    return sr.MeasurementReport(
        observation_context=_observer(result),
        procedure_reported=sr.CodedConcept(*_PROCEDURE),
        imaging_measurements=groups,
        title=sr.CodedConcept(*_TITLE),
    )


def _found(label: Label, number: int, tracking: Any, measurements: list[Any], segmentation: Any, source: Source) -> Any:
    sr = highdicom().sr
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(source.headers[0].SeriesInstanceUID),
        ),
        finding_type=concepts.type_of(label),
        finding_category=concepts.category(),
        measurements=measurements,
    )


def _volume(ml: float, result: Segmentation) -> Any:
    sr = highdicom().sr
    return sr.Measurement(
        name=sr.CodedConcept(*_VOLUME),
        value=round(ml, _DIGITS),
        unit=sr.CodedConcept(*_MILLILITRE),
        algorithm_id=_algorithm(result),
    )


def _algorithm(result: Segmentation) -> Any:
    told = [f"{name}: {value}" for name, value in algorithm.settings(result).items()]
    return highdicom().sr.AlgorithmIdentification(
        name=algorithm.model_name(result), version=algorithm.model_version(result), parameters=[RESEARCH_USE, *told]
    )


def _observer(result: Segmentation) -> Any:
    library = highdicom()
    sr = library.sr
    device = sr.ObserverContext(
        observer_type=sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=f"2.25.{int(result.model_digest[:30], 16)}",
            manufacturer_name=MANUFACTURER,
            model_name=algorithm.model_name(result),
            name=algorithm.software(),
        ),
    )
    return sr.ObservationContext(observer_device_context=device)
