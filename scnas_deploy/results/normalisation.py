"""Headers of real objects, made fit to be copied into results: what the standard forbids would stop their writers.

Texts become Unicode, and are written as UTF-8. A date, time or sex that is none is left empty, as if it were not known.
"""

from typing import Any, Final

from scnas_deploy.data.dicom.library import pydicom

_MAY_BE_EMPTY: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Attributes that a composite object has, be they empty (PS3.3 C.7.1.1, C.7.2.1)."""

_SEXES: Final = ("M", "F", "O")
_UTF_8: Final = "ISO_IR 192"


def normalised(header: Any) -> Any:
    """Return the header, changed."""
    header.decode()
    header.SpecificCharacterSet = _UTF_8
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header or header[keyword].value is None or header[keyword].VM > 1:
            setattr(header, keyword, _first(header, keyword))
    for element in [element for element in header if element.VR in ("DA", "TM", "DT") and not _is_moment(element)]:
        element.value = ""
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    if "SliceThickness" not in header and "SharedFunctionalGroupsSequence" not in header:
        header.SliceThickness = None
    return header


def _first(header: Any, keyword: str) -> Any:
    value = header.get(keyword)
    return value[0] if value and not isinstance(value, str) and hasattr(value, "__getitem__") else ""


def _is_moment(element: Any) -> bool:
    kinds = {"DA": pydicom().valuerep.DA, "TM": pydicom().valuerep.TM, "DT": pydicom().valuerep.DT}
    try:
        for value in element.value if element.VM > 1 else [element.value]:
            kinds[element.VR](value)
    except (ValueError, TypeError):
        return False
    return True
