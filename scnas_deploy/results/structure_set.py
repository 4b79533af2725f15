"""RTSTRUCT objects (PS3.3 A.19), written with pydicom: closed planar contours on the source's planes."""

import copy
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.data.plan import Label
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results import algorithm, concepts
from scnas_deploy.results.color import rgb
from scnas_deploy.results.identity import MANUFACTURER, RESEARCH_USE, Identity, stamp
from scnas_deploy.results.outlines import outlines
from scnas_deploy.results.segmentation_object import found_labels
from scnas_deploy.results.source import Source

_SOP_CLASS: Final = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS: Final = "1.2.840.10008.3.1.2.3.1"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_SHORT_STRING: Final = 16
_COPIED: Final = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)


def make_structure_set(result: Segmentation, source: Source, identity: Identity) -> Any | None:
    """Make the object; None where no structure was found."""
    labels = found_labels(result, source)
    if not labels:
        return None
    made = _empty(source, identity)
    made.Modality, made.OperatorsName = "RTSTRUCT", ""
    made.SeriesDescription = f"{result.model_name} (research use)"[:64]
    made.Manufacturer, made.ManufacturerModelName = MANUFACTURER, algorithm.model_name(result)
    made.SoftwareVersions, made.DeviceSerialNumber = algorithm.software(), result.model_digest[:16]
    made.StructureSetLabel = result.model_name[:_SHORT_STRING]
    made.StructureSetDescription = RESEARCH_USE
    made.StructureSetDate, made.StructureSetTime = identity.date, identity.time
    made.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
    frame = str(source.headers[0].FrameOfReferenceUID)
    numbered = list(enumerate(labels, start=1))
    made.StructureSetROISequence = [_roi(number, label, frame, result) for number, label in numbered]
    planes = source.origin.on_planes(result.labels_XYZ)
    made.ROIContourSequence = [_contours(number, label, planes == label.value, source) for number, label in numbered]
    made.RTROIObservationsSequence = [_observation(number, label) for number, label in numbered]
    made.ApprovalStatus = "UNAPPROVED"
    stamp(made, identity)
    return made


def _empty(source: Source, identity: Identity) -> Any:
    """The data set with patient, study and series."""
    library = pydicom()
    meta = library.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = _EXPLICIT, _SOP_CLASS
    meta.MediaStorageSOPInstanceUID = identity.sop_uid
    made = library.dataset.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    for keyword in _COPIED:
        if keyword in source.headers[0]:
            made[keyword] = copy.deepcopy(source.headers[0][keyword])
    made.SOPClassUID, made.SOPInstanceUID = _SOP_CLASS, identity.sop_uid
    made.SeriesInstanceUID, made.SeriesNumber = identity.series_uid, identity.series_number
    made.InstanceCreationDate, made.InstanceCreationTime = identity.date, identity.time
    made.PositionReferenceIndicator = made.get("PositionReferenceIndicator", "")
    return made


def _frame_of_reference(source: Source) -> Any:
    header = source.headers[0]
    images = [
        _item(ReferencedSOPClassUID=each.SOPClassUID, ReferencedSOPInstanceUID=each.SOPInstanceUID)
        for each in source.headers
    ]
    series = _item(SeriesInstanceUID=header.SeriesInstanceUID, ContourImageSequence=images)
    study = _item(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=header.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=header.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _roi(number: int, label: Label, frame_of_reference: str, result: Segmentation) -> Any:
    return _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=frame_of_reference,
        ROIName=label.name[:64],
        ROIGenerationAlgorithm="AUTOMATIC",
        ROIGenerationDescription=f"{algorithm.model_name(result)}"[:64],
    )


def _contours(number: int, label: Label, mask_PYX: np.ndarray, source: Source) -> Any:
    contours = [contour for index, mask in enumerate(mask_PYX) for contour in _on_plane(mask, index, source)]
    return _item(ReferencedROINumber=number, ROIDisplayColor=list(rgb(label.color)), ContourSequence=contours)


def _on_plane(mask: np.ndarray, index: int, source: Source) -> Iterator[Any]:
    stack, plane = source.origin.stack, source.origin.planes[index]
    columns_mm, rows_mm = stack.spacing_mm
    for polygon in outlines(mask):
        points_mm = (
            stack.positions_mm[index]
            + polygon[:, :1] * columns_mm * stack.row
            + polygon[:, 1:] * rows_mm * stack.column
        )
        image = _item(ReferencedSOPClassUID=source.sop_class, ReferencedSOPInstanceUID=plane.instance.uid)
        if len(plane.instance.frames) > 1 and plane.instance.tiles == 1:
            image.ReferencedFrameNumber = plane.frame.number + 1
        yield _item(
            ContourImageSequence=[image],
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=len(points_mm),
            ContourData=[_decimal(value) for value in points_mm.ravel()],
        )


def _observation(number: int, label: Label) -> Any:
    return _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        ROIObservationLabel=label.name[:_SHORT_STRING],
        RTROIIdentificationCodeSequence=[_code(label)],
        RTROIInterpretedType="",
        ROIInterpreter="",
    )


def _code(label: Label) -> Any:
    value, scheme, meaning = concepts.code_of(label)
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _decimal(value: float) -> Any:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return pydicom().valuerep.DSfloat(float(value), auto_format=True)


def _item(**values: Any) -> Any:
    dataset = pydicom().dataset.Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset
