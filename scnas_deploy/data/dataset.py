"""Dataset layouts: Medical Segmentation Decathlon and nnU-Net raw, read into one form."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scnas_deploy.data.nifti import SUFFIXES, is_nifti_name
from scnas_deploy.errors import FormatError

Layout = Literal["msd", "nnunet"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One study of a dataset."""

    id: str
    """The file name without suffix and channel number."""
    images: tuple[Path, ...]
    """One file a channel (nnU-Net), or a single 3-D or 4-D file (MSD)."""
    label: Path
    """The mask; the path may not exist, which the dataset check reports."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A dataset as its ``dataset.json`` and its folders describe it; nothing is read beyond that."""

    name: str
    root: Path
    layout: Layout
    channels: tuple[str, ...]
    """Channel names in order, for instance ('MRI',) or ('FLAIR', 'T1')."""
    labels: dict[int, str]
    """Label value -> name, background (0) left out, in the order of the values."""
    cases: tuple[Case, ...]
    """Training cases, sorted by id."""
    unlisted: tuple[Path, ...]
    """Image and label files in the folders that belong to no case."""

    def case(self, case_id: str) -> Case:
        """Return the case of that id.

        Raises:
            KeyError: If there is none.
        """
        for case in self.cases:
            if case.id == case_id:
                return case
        raise KeyError(case_id)


def read_dataset(root: Path) -> Dataset:
    """Read an MSD- or nnU-Net-style dataset folder.

    Raises:
        FormatError: If ``dataset.json`` is missing, damaged, or lacks what its layout needs.
    """
    description = _read_description(root)
    if "channel_names" in description:
        return _read_nnunet(root, description)
    if "modality" in description:
        return _read_msd(root, description)
    raise FormatError(
        root / "dataset.json",
        expected="'modality' (MSD) or 'channel_names' (nnU-Net)",
        found=f"the fields {', '.join(sorted(description)) or 'none'}",
        remedy="Describe the channels as one of the two layouts does",
    )


def _read_description(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    if not path.is_file():
        raise FormatError(
            root,
            expected="a dataset folder with a dataset.json, imagesTr and labelsTr (MSD or nnU-Net layout)",
            found="no dataset.json" if root.is_dir() else "no such folder",
            remedy="Name the folder that holds dataset.json",
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(path, expected="valid JSON", found=f"an error ({error})", remedy="Repair the file") from error
    if not isinstance(description, dict):
        raise FormatError(path, expected="a JSON object", found=type(description).__name__, remedy="Repair the file")
    return description


def _read_msd(root: Path, description: dict[str, Any]) -> Dataset:
    channels = _ordered_values(root, "modality", description["modality"])
    cases = []
    for entry in _field(root, description, "training", list):
        if not isinstance(entry, dict) or not {"image", "label"} <= entry.keys():
            raise _wrong_field(root, "training", "a list of {image, label}", f"the entry {entry!r}")
        image, label = root / str(entry["image"]), root / str(entry["label"])
        cases.append(Case(id=_stem(image), images=(image,), label=label))
    return _finish(root, "msd", description, channels, cases)


def _read_nnunet(root: Path, description: dict[str, Any]) -> Dataset:
    channels = _ordered_values(root, "channel_names", description["channel_names"])
    ending = str(description.get("file_ending", ".nii.gz"))
    if ending not in SUFFIXES:
        raise _wrong_field(root, "file_ending", " or ".join(SUFFIXES), repr(ending))
    names = [path.name for path in _nifti_files(root / "imagesTr") if path.name.endswith(ending)]
    ids = {name[: -len(ending)].rsplit("_", 1)[0] for name in names}
    cases = [
        Case(
            id=case_id,
            images=tuple(root / "imagesTr" / f"{case_id}_{index:04d}{ending}" for index in range(len(channels))),
            label=root / "labelsTr" / f"{case_id}{ending}",
        )
        for case_id in ids
    ]
    return _finish(root, "nnunet", description, channels, cases)


def _finish(
    root: Path, layout: Layout, description: dict[str, Any], channels: tuple[str, ...], cases: list[Case]
) -> Dataset:
    if not cases:
        raise FormatError(
            root, expected="at least one training case", found="none", remedy="Put images into imagesTr and labelsTr"
        )
    used = {path.resolve() for case in cases for path in (*case.images, case.label)}
    present = [*_nifti_files(root / "imagesTr"), *_nifti_files(root / "labelsTr")]
    return Dataset(
        name=str(description.get("name", root.name)),
        root=root,
        layout=layout,
        channels=channels,
        labels=_labels(root, description),
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        unlisted=tuple(path for path in present if path.resolve() not in used),
    )


def _labels(root: Path, description: dict[str, Any]) -> dict[int, str]:
    """MSD writes value -> name, nnU-Net name -> value; regions and an ignore label are not supported."""
    labels = {}
    for key, value in _field(root, description, "labels", dict).items():
        number, name = (key, value) if _is_number(key) else (value, key)
        if name == "ignore" or not _is_number(number) or int(number) in labels:
            raise _wrong_field(
                root, "labels", "one integer value a label (no regions, no 'ignore' label)", f"{key!r}: {value!r}"
            )
        labels[int(number)] = str(name)
    labels.pop(0, None)
    if not labels:
        raise _wrong_field(root, "labels", "at least one label besides background", "none")
    return dict(sorted(labels.items()))


def _ordered_values(root: Path, field: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, dict) or not names or not all(map(_is_number, names)):
        raise _wrong_field(root, field, 'a table {"0": name, ...}', repr(names)[:80])
    ordered = sorted(names.items(), key=lambda item: int(item[0]))
    if [int(key) for key, _ in ordered] != list(range(len(ordered))):
        raise _wrong_field(root, field, "channels numbered from 0 without a gap", repr(names)[:80])
    return tuple(str(name) for _, name in ordered)


def _is_number(value: Any) -> bool:
    return str(value).isascii() and str(value).isdigit()


def _field(root: Path, description: dict[str, Any], name: str, kind: type) -> Any:
    value = description.get(name)
    if not isinstance(value, kind):
        raise _wrong_field(root, name, f"a {kind.__name__}", type(value).__name__)
    return value


def _wrong_field(root: Path, field: str, expected: str, found: str) -> FormatError:
    return FormatError(
        f"{root / 'dataset.json'}, field '{field}'", expected=expected, found=found, remedy="Correct the field"
    )


def _nifti_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if is_nifti_name(path) and not path.name.startswith("."))


def _stem(path: Path) -> str:
    name = path.name
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return path.stem
