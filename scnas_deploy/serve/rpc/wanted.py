"""What a client wants of a study, read from the header of its upload."""

from typing import Annotated, Final

from pydantic import Field, PositiveFloat, ValidationError

from scnas_deploy.data.dicom.verdicts import Correction
from scnas_deploy.documents import Frozen
from scnas_deploy.errors import ConfigError, FormatError
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.words import ALLOWED, FORMATS, PRIORITIES, ours
from scnas_deploy.serve.work import Priority

MAX_FILES: Final = 20_000
_OF_NIFTI: Final = (Format.NIFTI,)
_OF_DICOM: Final = (Format.SEG, Format.SR)
_WITHOUT_OBJECTS: Final = {Format.NIFTI, Format.PREVIEW}
"""Forms that refer to no DICOM object of the study."""


class Wanted(Frozen):
    """The header's content. No value of a client's gets into an error: it may name a patient."""

    model: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")]
    """Empty for the default one."""
    formats: tuple[Format, ...]
    priority: Priority
    idempotency_key: Annotated[str, Field(max_length=256)]
    """Only ever hashed."""
    series: tuple[Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")], ...] = Field(max_length=64)
    allow: tuple[Correction, ...]
    force: bool
    time_limit_s: PositiveFloat | None
    num_files: Annotated[int, Field(ge=1, le=MAX_FILES)]

    def formats_for(self, *, dicom: bool) -> tuple[Format, ...]:
        """Return the forms to make of a study.

        Args:
            dicom: Whether it came as DICOM objects.

        Raises:
            ConfigError: If forms are wanted that cannot be made of it.
        """
        formats = self.formats or (_OF_DICOM if dicom else _OF_NIFTI)
        if not dicom and (others := sorted(set(formats) - _WITHOUT_OBJECTS)):
            raise ConfigError(
                "formats", expected="nifti or preview of NIfTI files", found=others[0], remedy="Send DICOM objects"
            )
        return formats


def wanted_of(first: pb.SubmitRequest | None) -> Wanted:
    """Read the first message of an upload.

    Raises:
        FormatError: If it is no header.
        ConfigError: If it asks for what there is none of.
    """
    if first is None or first.WhichOneof("part") != "header":
        raise FormatError(
            "the upload", expected="a header as its first message", found="none", remedy="Send the header first"
        )
    header = first.header
    formats = tuple(dict.fromkeys(ours(FORMATS, number, "format") for number in header.formats))
    if Format.SR in formats and not {Format.SEG, Format.LABELMAP} & set(formats):
        raise ConfigError(
            "formats", expected="a segmentation object that the report refers to", found="sr alone", remedy="Add one"
        )
    try:
        return Wanted(
            model=header.model,
            formats=formats,
            priority=ours(PRIORITIES, header.priority or pb.PRIORITY_CLINICAL, "priority"),
            idempotency_key=header.idempotency_key,
            series=tuple(header.series),
            allow=tuple(dict.fromkeys(ours(ALLOWED, number, "correction") for number in header.allow)),
            force=header.force,
            num_files=header.num_files,
            time_limit_s=header.time_limit.ToMicroseconds() / 1e6 if header.HasField("time_limit") else None,
        )
    except ValidationError as error:
        first_problem = error.errors(include_input=False)[0]
        field = str(first_problem["loc"][0])
    raise ConfigError(
        field, expected=f"a value fit for '{field}'", found=first_problem["msg"], remedy="Correct it, then submit again"
    )
