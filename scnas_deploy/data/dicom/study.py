"""A DICOM study becomes one volume: its series chosen, read and brought to one grid."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from scnas_deploy.data.dicom.alignment import aligned
from scnas_deploy.data.dicom.choice import BY_RULES, SeriesChoice, choose, require_complete
from scnas_deploy.data.dicom.headers import NO_DICOM
from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import Scan, Series, scan
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ChoiceError


def load_dicom_study(paths: Iterable[Path], plan: Plan | None = None, how: SeriesChoice = BY_RULES) -> Volume:
    """Read a study from DICOM objects.

    Args:
        paths: Files, folders and zip archives.
        plan: Says which series serve which channel; None takes the study's only one.
        how: What else the choice depends on.

    Returns:
        The volume, a channel for each of the plan's, on the grid of the first.

    Raises:
        FormatError: If a path is missing, or an archive is damaged.
        ChoiceError: If none or several series could serve a channel, or those chosen do not belong together.
        VerdictError: If a series is no regular grid, or its pixels cannot be decoded.
        InputError: If the system cannot read a file just now.
    """
    found = scan(paths)
    if plan is None:
        volume = read_series(_only(found), how.allow)
        return replace(volume, notes=(*_damage(found), *volume.notes))
    volumes = [read_series(each.series, how.allow) for each in require_complete(choose(found, plan, how))]
    first, *others = volumes
    data = [first.data, *(aligned(other, first, f"channel {k}") for k, other in enumerate(others, start=2))]
    notes = tuple(dict.fromkeys(note for volume in volumes for note in (*_damage(found), *volume.notes)))
    assert first.dicom is not None
    origin = replace(first.dicom, further=tuple(each.dicom for each in others if each.dicom is not None))
    whole = first.data if not others else np.concatenate(data)
    return replace(first, data=whole, notes=notes, dicom=origin)


def _damage(found: Scan) -> tuple[str, ...]:
    """What the user must know of files that could not be read: they may have belonged to the series."""
    reasons = Counter(left.reason for left in found.left if left.damaged and left.reason != NO_DICOM)
    return tuple(f"{count} file(s) of the study could not be read: {reason}." for reason, count in reasons.items())


def _only(found: Scan) -> Series:
    if len(found.series) == 1:
        return found.series[0]
    damaged = sum(left.damaged for left in found.left)
    raise ChoiceError(
        "study",
        expected="one series of CT, MR or PET images",
        found=f"{len(found.series)}, and {len(found.left)} other file(s), {damaged} of them unreadable",
        remedy="Give the files of one series",
    )
