"""scnas view: reading the study."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scnas_deploy.data.dicom.choice import SeriesChoice
from scnas_deploy.data.dicom.headers import NO_DICOM
from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import Scan, Series, scan
from scnas_deploy.data.nifti import is_nifti_name
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.study import load_study
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ChoiceError, ConfigError


def read_study(study: Path, plan: Plan | None, how: SeriesChoice, referenced: Sequence[str]) -> Volume:
    """Read a study, of DICOM series the one to show.

    Args:
        study: NIfTI file, or DICOM folder, zip or file.
        plan: Of a model, whose rules choose the series; None where none was named.
        how: What the user says of series.
        referenced: UIDs of the series that the masks were made on; the only one of these is taken where nothing else
            is said.
    """
    if is_nifti_name(study):
        _refuse_series(how)
        return load_study([study])
    if plan is not None:
        return load_study([study], plan, how)
    found = scan([study])
    volume = read_series(_series(found, how.named or tuple(dict.fromkeys(referenced))), how.allow)
    damaged = sum(left.damaged and left.reason != NO_DICOM for left in found.left)
    notes = (f"{damaged} file(s) of the study could not be read.",) if damaged else ()
    return replace(volume, notes=(*notes, *volume.notes))


def _series(found: Scan, named: tuple[str, ...]) -> Series:
    fitting = [
        series
        for number, series in enumerate(found.series, start=1)
        if not named or series.uid in named or str(number) in named
    ]
    if len(fitting) == 1:
        return fitting[0]
    listed = "; ".join(
        f"{number}: {series.header.get('Modality', '')}, {len(series.instances)} object(s)"
        for number, series in enumerate(found.series, start=1)
    )
    raise ChoiceError(
        "study",
        expected="one series of CT, MR or PET images to show",
        found=f"{len(fitting)} of {len(found.series)}" + (f" ({listed})" if listed else ""),
        remedy="Name one with --series, by its number here or its UID",
    )


def _refuse_series(how: SeriesChoice) -> None:
    given = [option for option, value in (("--series", how.named), ("--allow", how.allow)) if value]
    if given:
        raise ConfigError(
            given[0], expected="a study of DICOM objects", found="a NIfTI file", remedy="Leave the option out"
        )
