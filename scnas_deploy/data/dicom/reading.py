"""A series becomes a volume, or a verdict."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.data.dicom import mosaic
from scnas_deploy.data.dicom.corrections import correct
from scnas_deploy.data.dicom.grid import Stack, stack_of
from scnas_deploy.data.dicom.headers import UnreadableError
from scnas_deploy.data.dicom.instances import Instance
from scnas_deploy.data.dicom.origin import DicomOrigin
from scnas_deploy.data.dicom.pixels import read_planes, undecodable
from scnas_deploy.data.dicom.scan import Series
from scnas_deploy.data.dicom.verdicts import Contradiction, Correction, Unsplittable, Verdict, VerdictError
from scnas_deploy.data.volume import Volume

LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])

SUBJECT: Final = "the series"


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """A series' planes in order, and what stands against making a volume of them."""

    stack: Stack | None
    """None where there is no order to speak of."""
    refused: tuple[Verdict, ...]
    """Rules it breaks that nobody allowed to correct."""
    corrections: tuple[Correction, ...]
    """What is allowed and needed."""


def judge(series: Series, allow: Collection[Correction] = ()) -> Judged:
    """Judge a series by its headers alone.

    Args:
        series: From a scan.
        allow: Corrections that may be made.
    """
    instances, verdicts = _without_copies(series.instances)
    corrections: list[Correction] = []
    if "split-mosaic" in allow and any(instance.mosaic for instance in instances):
        try:
            instances = [mosaic.split(instance) for instance in instances]
            corrections.append("split-mosaic")
        except UnreadableError as error:
            verdicts = (*verdicts, Unsplittable(why=str(error)))
    stack, broken = stack_of(instances)
    verdicts = (*verdicts, *undecodable(instances), *broken)
    needed = [verdict.correction for verdict in verdicts if verdict.correction in allow]
    refused = tuple(verdict for verdict in verdicts if verdict.correction not in allow or stack is None)
    return Judged(stack, refused, (*corrections, *(each for each in needed if each is not None)))


def read_series(series: Series, allow: Collection[Correction] = ()) -> Volume:
    """Read a series.

    Args:
        series: From a scan.
        allow: Corrections that may be made.

    Returns:
        The volume: columns along X, rows along Y, planes along Z in the direction of their normal. Its ``dicom`` says
        where each plane lies, and what was corrected.

    Raises:
        VerdictError: If the planes form no regular grid, or their pixels cannot be decoded.
    """
    judged = judge(series, allow)
    if judged.refused or judged.stack is None:
        raise VerdictError(SUBJECT, judged.refused)
    stack, corrections = judged.stack, judged.corrections
    voxels = read_planes(stack.planes, SUBJECT)
    if {"shear-tilt", "resample-gaps"} & set(corrections):
        corrected = correct(stack, voxels)
        voxels, affine, windows = corrected.voxels_XYZ, corrected.affine_lps, corrected.windows
    else:
        affine, windows = stack.affine_lps(), tuple((0, 0, z) for z in range(len(stack.planes)))
    return Volume(
        data=voxels[np.newaxis],
        affine_ras=LPS_TO_RAS @ affine,
        dicom=DicomOrigin(stack=stack, windows=windows, corrections=corrections),
        notes=tuple(f"Corrected: {correction}." for correction in corrections),
    )


def _without_copies(instances: Sequence[Instance]) -> tuple[list[Instance], tuple[Verdict, ...]]:
    """Drop all but one of objects that were sent several times; refuse those that differ under one UID."""
    by_uid: dict[str, list[Instance]] = {}
    for instance in instances:
        by_uid.setdefault(instance.uid, []).append(instance)
    differing = sum(len({_content(copy) for copy in copies}) > 1 for copies in by_uid.values() if len(copies) > 1)
    verdicts = (Contradiction(objects=differing),) if differing else ()
    return [copies[0] for copies in by_uid.values()], verdicts


def _content(instance: Instance) -> bytes:
    with instance.source.open() as file:
        return file.read()
