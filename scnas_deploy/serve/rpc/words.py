"""The protocol's enumerations and ours."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, get_args

from scnas_deploy.data.dicom.verdicts import CORRECTIONS, Correction
from scnas_deploy.errors import ConfigError
from scnas_deploy.jobs.job import JobState
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.work import Priority, Stage

Ours = TypeVar("Ours")


def _numbers(enum: Any, values: Iterable[Ours]) -> Mapping[Ours, Any]:
    """Numbers of our values: 'dicom-seg' of Format is FORMAT_DICOM_SEG. Generated code gives them types of its own."""
    kind = enum.DESCRIPTOR
    prefix = "".join(f"_{letter}" if letter.isupper() else letter for letter in kind.name).lstrip("_").upper()
    words = {value: str(value).upper().replace("-", "_") for value in values}
    return {value: kind.values_by_name[f"{prefix}_{word}"].number for value, word in words.items()}


FORMATS: Final = _numbers(pb.Format, Format)
PRIORITIES: Final = _numbers(pb.Priority, get_args(Priority))
ALLOWED: Final[Mapping[Correction, Any]] = _numbers(pb.Correction, CORRECTIONS)
STATES: Final = _numbers(pb.JobState, JobState)
STAGES: Final = _numbers(pb.Stage, get_args(Stage))


def ours(numbers: Mapping[Ours, Any], number: int, field: str) -> Ours:
    """Return our value of a number.

    Raises:
        ConfigError: If it is none.
    """
    for value, known in numbers.items():
        if known == number:
            return value
    raise ConfigError(
        field, expected=f"a {field} of this version", found=f"number {number}", remedy="Choose another one"
    )
