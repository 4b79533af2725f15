"""Reading every case of a dataset once: what is wrong with it, explained, and its fingerprint."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scnas_deploy.data.dataset import Case, Dataset
from scnas_deploy.data.fingerprint import CaseFigures, Fingerprint, measure_case, summarise
from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.data.study import load_study, require_same_grid
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import DataError, FormatError, InputError
from scnas_deploy.types import LabelsXYZ


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    case_id: str
    """The case, or the file name of what belongs to none."""
    problem: str
    """What was expected and what was found."""
    remedy: str
    fatal: bool = True
    """A fatal finding makes the case unusable; others are notes."""


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """The result of checking a dataset."""

    findings: tuple[Finding, ...]
    figures: tuple[CaseFigures, ...]
    """Of the usable cases only."""

    @property
    def unusable(self) -> tuple[str, ...]:
        """Ids of the cases with a fatal finding, sorted."""
        return tuple(sorted({finding.case_id for finding in self.findings if finding.fatal}))

    def fingerprint(self) -> Fingerprint:
        """Summarise the usable cases.

        Raises:
            FormatError: If no case is usable.
        """
        if not self.figures:
            raise FormatError(
                "dataset", expected="at least one usable case", found="none", remedy="Repair the cases listed above"
            )
        return summarise(list(self.figures))


def check_dataset(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> DatasetReport:
    """Read every case and report what is wrong with it.

    Args:
        dataset: The dataset.
        progress: Called with the number of cases read and their total.
    """
    findings = [
        Finding(path.name, "the file belongs to no listed case", "List its case in dataset.json or remove it", False)
        for path in dataset.unlisted
    ]
    repeated = _repeated(dataset)
    findings += [Finding(case_id, "the case is listed twice", "List it once in dataset.json") for case_id in repeated]
    figures = []
    for number, case in enumerate(dataset.cases, 1):
        problems, measured = ([], None) if case.id in repeated else _check_case(dataset, case)
        findings += problems
        figures += [measured] if measured is not None else []
        if progress is not None:
            progress(number, len(dataset.cases))
    return DatasetReport(tuple(findings), tuple(figures))


def load_case(dataset: Dataset, case: Case) -> tuple[Volume, LabelsXYZ]:
    """Read a case's channels into one volume, and its mask.

    Raises:
        DataError: If a file is missing or unreadable, or the files do not share one grid.
    """
    volume = load_study(case.images)
    if volume.num_channels != len(dataset.channels):
        raise FormatError(
            case.images[0].name,
            expected=f"{len(dataset.channels)} channel(s): {', '.join(dataset.channels)}",
            found=f"{volume.num_channels}",
            remedy="Correct the image or the channels in dataset.json",
        )
    mask = load_nifti(case.label)
    if mask.num_channels != 1:
        raise FormatError(
            case.label.name,
            expected="a 3-D mask",
            found=f"{mask.num_channels} volumes in {case.label.name}",
            remedy="Save one label value a voxel",
        )
    require_same_grid(f"label {case.label.name}", mask, volume)
    return volume, _integer_labels(case.label.name, mask.data[0])


def _check_case(dataset: Dataset, case: Case) -> tuple[list[Finding], CaseFigures | None]:
    missing = [path for path in (*case.images, case.label) if not path.is_file()]
    if missing:
        remedy = "Add the file, or remove the case from dataset.json"
        return [Finding(case.id, f"missing {_short(path, dataset.root)}", remedy) for path in missing], None
    try:
        volume, labels = load_case(dataset, case)
    except (DataError, InputError) as error:
        return [Finding(case.id, f"expected {error.expected}, found {error.found}", error.remedy)], None
    findings = [*_check_voxels(case, volume), *_check_labels(dataset, case, labels)]
    if any(finding.fatal for finding in findings):
        return findings, None
    notes = [Finding(case.id, note, "Check that this is as intended", False) for note in volume.notes]
    return [*findings, *notes], measure_case(case.id, volume, labels)


def _check_voxels(case: Case, volume: Volume) -> list[Finding]:
    findings = []
    for index, channel in enumerate(volume.data):
        if not np.isfinite(channel).all():
            count = int((~np.isfinite(channel)).sum())
            findings.append(
                Finding(case.id, f"expected finite voxels, found {count} NaN or infinite in channel {index}",
                        "Replace them at the image's source")
            )  # fmt: skip
        elif channel.min() == channel.max():
            findings.append(
                Finding(case.id, f"expected an image, found the constant {channel.min():g} in channel {index}",
                        "Export the image again")
            )  # fmt: skip
    return findings


def _check_labels(dataset: Dataset, case: Case, labels: LabelsXYZ) -> list[Finding]:
    found = set(np.unique(labels).tolist())
    foreign = sorted(found - {0, *dataset.labels})
    if foreign:
        known = ", ".join(f"{value} {name}" for value, name in dataset.labels.items())
        problem = f"expected the labels 0, {known}; found also {', '.join(map(str, foreign[:5]))}"
        return [Finding(case.id, problem, "Correct the mask, or name the label in dataset.json")]
    if found == {0}:
        return [Finding(case.id, "the mask is empty", "Check that nothing is to be segmented here", False)]
    return []


def _short(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def _integer_labels(name: str, mask: np.ndarray) -> LabelsXYZ:
    if mask.dtype.kind in "iu":
        return mask
    rounded = np.round(mask)
    if not np.isfinite(mask).all() or not np.array_equal(rounded, mask):
        raise FormatError(
            f"label {name}",
            expected="whole numbers",
            found="fractions or NaN",
            remedy="Save the mask as integers; it may have been interpolated",
        )
    return rounded.astype(np.int32)


def _repeated(dataset: Dataset) -> list[str]:
    counts = Counter(case.id for case in dataset.cases)
    return [case_id for case_id, count in counts.items() if count > 1]
