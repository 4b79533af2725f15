"""What results call themselves: UIDs and dates that are the same for the same result, whoever makes it and when.

So a replay gives the same object, and a study that grew, another model or other settings give another one.
"""

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.attributes import text
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.source import Source

MANUFACTURER: Final = "scnas-deploy"
RESEARCH_USE: Final = "For research use only. Not for diagnosis or treatment."
_UUID_PREFIX: Final = "2.25."
_UUID_BITS: Final = 122
_SERIES_NUMBERS: Final = {"seg": 9001, "labelmap": 9001, "sr": 9002, "rtstruct": 9003, "preview": 9004}
_NO_DATE, _MIDNIGHT = "19000101", "000000"
"""Of a source without any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Of one result object, the only one of its series."""

    series_uid: str
    sop_uid: str
    series_number: int
    date: str
    """YYYYMMDD, of the source: content and instance."""
    time: str
    """HHMMSS, likewise."""


def identity_of(kind: str, result: Segmentation, source: Source, *refers_to: str) -> Identity:
    """Name a result.

    Args:
        kind: 'seg', 'labelmap', 'sr', 'rtstruct' or 'preview'.
        result: What it is made of.
        source: The study's objects.
        refers_to: UIDs of other results that it names.
    """
    first = source.headers[0]
    return Identity(
        series_uid=uid(kind, "series", result, source, *refers_to),
        sop_uid=uid(kind, "object", result, source, *refers_to),
        series_number=_SERIES_NUMBERS[kind],
        date=_first(first, "Date") or _NO_DATE,
        time=_first(first, "Time") or _MIDNIGHT,
    )


def _first(header: Any, what: str) -> str:
    """The first date or time that the source has."""
    found = (text(header, f"{of}{what}") for of in ("Series", "Study", "Acquisition", "Content"))
    return next((value for value in found if value), "")


def uid(kind: str, what: str, result: Segmentation, source: Source, *refers_to: str) -> str:
    """A UID made of all that the result depends on (PS3.5 B.2, with a digest for the UUID)."""
    first = source.headers[0]
    named = [
        kind,
        what,
        text(first, "StudyInstanceUID"),
        text(first, "SeriesInstanceUID"),
        sorted(text(header, "SOPInstanceUID") for header in source.headers),
        result.model_digest,
        result.engine,
        result.precision,
        [sorted({plane.instance.uid for plane in each.planes}) for each in source.origin.further],
        list(source.origin.all_corrections),
        sha256_of(np.ascontiguousarray(result.labels_XYZ).tobytes()),
        refers_to,
        [label.model_dump(mode="json") for label in result.labels],
        version("scnas-deploy"),
    ]
    digest = int(sha256_of(json.dumps(named).encode()), 16)
    return f"{_UUID_PREFIX}{digest >> (256 - _UUID_BITS)}"


def stamp(dataset: Any, identity: Identity) -> None:
    """Replace the moments of making, which a library has set, by those of the source."""
    for keyword in ("ContentDate", "SeriesDate", "InstanceCreationDate", "DateOfSecondaryCapture"):
        if keyword in dataset or keyword == "SeriesDate":
            setattr(dataset, keyword, identity.date)
    for keyword in ("ContentTime", "SeriesTime", "InstanceCreationTime", "TimeOfSecondaryCapture"):
        if keyword in dataset or keyword == "SeriesTime":
            setattr(dataset, keyword, identity.time)
    for equipment in dataset.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = identity.date + identity.time
