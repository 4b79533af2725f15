"""Resampling a study and its labels: ours against SimpleITK.

Compares: `scnas_deploy.data.resampling` with `benchmarks/simpleitk_resampling.py` (SimpleITK's cubic B-spline on a
float32 volume; its linear interpolation of one indicator volume a label), the same study in one process and in turns:
its image (int16, as a NIfTI file has it in memory) to another spacing, and labels on that grid back to the study's own.
Prints medians and of how many voxels the labels agree; the largest difference of the images is a share of their range.
Peak memory beyond the arguments is measured in a process of its own for each side. SimpleITK uses all cores, ours one.

Does not prove: anything about masks whose labels meet at more voxels than here (blocks of eight voxels a side), since
ours takes the longer the more do, nor about reading, normalising and writing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks import simpleitk_resampling
from benchmarks.peak import PeakResident
from scnas_deploy.data import resampling
from scnas_deploy.data.resampling import Grid

SIDES = {"ours": resampling, "SimpleITK": simpleitk_resampling}
_BLOCK = 8


@dataclass(frozen=True)
class Study:
    own: Grid
    planned: Grid
    image_CXYZ: np.ndarray
    labels_UVW: np.ndarray
    """On the planned grid."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 256, 200))
    parser.add_argument("--spacing", type=float, nargs=3, default=(0.8, 0.8, 1.0), help="the study's, in mm")
    parser.add_argument("--new-spacing", type=float, default=1.2, help="the plan's, in mm")
    parser.add_argument("--labels", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory-of", choices=SIDES, help="measure one side's memory in this process")
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(peak_bytes(draw(arguments), arguments.memory_of))
        return
    taken = {side: bytes_in_own_process(side) for side in SIDES}  # first: a process inherits its parent's peak
    study = draw(arguments)
    result = compare(study, arguments.repeats)
    print(f"{study.own.shape} voxels to {study.planned.shape} and back, {arguments.labels} labels")
    print(f"{'':12}{'image s':>10}{'labels s':>10}{'peak MB':>10}")
    for side in SIDES:
        print(f"{side:12}{result[side]['image']:10.3f}{result[side]['labels']:10.3f}{taken[side] / 1e6:10.0f}")
    ours, theirs = (result[side] for side in SIDES)
    summary = {
        "speedup": sum(theirs.values()) / sum(ours.values()),
        "speedup_image": theirs["image"] / ours["image"],
        "speedup_labels": theirs["labels"] / ours["labels"],
        **result["agreement"],
        "memory_ratio": taken["ours"] / taken["SimpleITK"],
    }
    print(json.dumps({name: float(f"{value:.8g}") for name, value in summary.items()}))


def draw(arguments: argparse.Namespace) -> Study:
    own = Grid(tuple(arguments.shape), tuple(arguments.spacing))
    planned = own.at_spacing((arguments.new_spacing,) * 3)
    random = np.random.default_rng(0)
    image = random.integers(-1000, 1000, own.shape[::-1], dtype=np.int16).transpose(2, 1, 0)
    blocks = random.integers(0, arguments.labels + 1, [-(-n // _BLOCK) for n in planned.shape], dtype=np.uint8)
    labels = np.kron(blocks, np.ones((_BLOCK,) * 3, np.uint8))[tuple(map(slice, planned.shape))]
    return Study(own, planned, image[None], np.ascontiguousarray(labels))


def compare(study: Study, repeats: int) -> dict[str, dict[str, float]]:
    seconds = {side: {"image": [], "labels": []} for side in SIDES}
    for number in range(repeats):
        answers = {side: resample(study, side, seconds[side]) for side in sorted(SIDES, reverse=bool(number % 2))}
    (image, labels), (their_image, their_labels) = (answers[side] for side in SIDES)
    result = {
        side: {what: statistics.median(values) for what, values in of_side.items()} for side, of_side in seconds.items()
    }
    result["agreement"] = {
        "max_abs_difference": float(np.abs(image - their_image).max() / np.ptp(study.image_CXYZ.astype(np.int32))),
        "label_agreement": float((labels == their_labels).mean()),
    }
    return result


def resample(study: Study, side: str, seconds: dict[str, list[float]]) -> tuple[np.ndarray, np.ndarray]:
    started = time.perf_counter()
    image = SIDES[side].resample_image(study.image_CXYZ, study.own, study.planned)
    halfway = time.perf_counter()
    labels = SIDES[side].resample_labels(study.labels_UVW, study.planned, study.own)
    seconds["image"].append(halfway - started)
    seconds["labels"].append(time.perf_counter() - halfway)
    return image, labels


def peak_bytes(study: Study, side: str) -> int:
    with PeakResident() as peak:
        resample(study, side, {"image": [], "labels": []})
    return peak.above_start


def bytes_in_own_process(side: str) -> int:
    command = [sys.executable, "-m", "benchmarks.resampling", *sys.argv[1:], "--memory-of", side]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
