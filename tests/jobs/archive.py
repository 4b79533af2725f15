"""An archive of many small studies, and what a batch of it must leave behind."""

import csv
from pathlib import Path

import nibabel as nib

from scnas_deploy.data.dataset import Dataset

_SHAPE = (24, 32, 24)
"""Voxels of a study, (X, Y, Z): hardly more than one patch."""


def write_scans(folder: Path, dataset: Dataset, num_scans: int) -> list[Path]:
    """Write small scans, one a case."""
    x, y, z = _SHAPE
    paths = [folder / f"{case.id}.nii" for case in dataset.cases[:num_scans]]
    for path, case in zip(paths, dataset.cases, strict=False):
        nib.save(nib.load(case.images[0]).slicer[:x, :y, :z], path)
    return paths


def write_archive(folder: Path, dataset: Dataset, num_studies: int) -> Path:
    """Write a few scans and a manifest that has them under ever new names."""
    scans = write_scans(folder, dataset, 4)
    lines = [f"study-{n},{scans[n % len(scans)].name}" for n in range(num_studies)]
    manifest = folder / "archive.csv"
    manifest.write_text("\n".join(["id,study", *lines]) + "\n")
    return manifest


def read_summary(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def masks(folder: Path) -> dict[str, int]:
    """When each mask was written, in nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*_seg.nii.gz")}


def assert_all_done_once(folder: Path, num_studies: int) -> None:
    rows = read_summary(folder)
    assert [row["id"] for row in rows] == [f"study-{n}" for n in range(num_studies)]
    assert {row["state"] for row in rows} == {"done"}
    assert masks(folder).keys() == {f"study-{n}_seg.nii.gz" for n in range(num_studies)}
