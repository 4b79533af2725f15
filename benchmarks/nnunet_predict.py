"""Studies a minute against nnU-Net v2's predictor, on the held-out cases of Task04_Hippocampus' fold 0.

Compares, file to file (NIfTI in, label NIfTI out), each loaded once, with the same number of threads, in turns within
one process: the shipped model in our predictor, in float32 and in 8 bits; nnU-Net's Hippocampus network (40 x 56 x 40,
no mirroring, Gaussian, half a patch's overlap) in nnU-Net's predictor; and that network, same weights, in ours.
nnU-Net runs `predict_from_files_sequential`: its default way, which starts worker processes at each call, took twice as
long with 44 of these small studies on two cores. Every case goes through all once, for Dice and for how many labels
both predictors give alike to the same network; that pass also warms up. Then the rounds are timed, each into a fresh
folder; ratios are medians over the rounds. `cold_seconds` is `scnas segment` as a whole process, with the shipped model
and with all files in the page cache.

Does not prove: what nnU-Net's training reaches (it reports a mean Dice of 0.889 over its five folds), since its network
was trained here, by our loop and for as few steps as the package's maker had time for; anything of GPUs, of nnU-Net
compiled (`nnUNet_compile`), or of large studies, for most of these (39 of 44) are a single patch. Ours syncs results to
disk, nnU-Net does not, so that the disk under the temporary folder counts. Measured with nnunetv2 2.8.1.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.cold_segment import SCNAS, run
from benchmarks.nnunet_peer import Segmenter, nnunet_segmenter
from scnas_deploy.api import load_model, load_volume
from scnas_deploy.data.check import load_case
from scnas_deploy.data.dataset import Case, Dataset, read_dataset
from scnas_deploy.data.study import require_same_grid
from scnas_deploy.training.evaluation import dice, mean_of_known
from scnas_deploy.training.folds import fold_split

SHIPPED, EIGHT_BITS = "ours, shipped", "ours, shipped, int8"
PEER, SAME = "nnU-Net", "ours, nnU-Net's net"
AT_A_TIME = 2
"""Our studies under way, which share one engine."""

MODEL = "hippocampus"
PROJECT = "runs/hippocampus"
PACKAGE = Path(PROJECT, "nnunet.scnas")
HOW_TO_MAKE = f"""\
No package of nnU-Net's network at {{package}}. To make one (150 steps take a few minutes on two idle cores):
  scnas init $SCNAS_DATA/Task04_Hippocampus --project {PROJECT}
  scnas baseline plain_conv_unet --project {PROJECT} -o {PROJECT}/nnunet.genotype.json
  scnas train --project {PROJECT} --genotype {PROJECT}/nnunet.genotype.json --name nnunet --preset cpu \\
    --stem-channels 32 --epochs 15
  scnas evaluate --project {PROJECT} --name nnunet
  scnas export --project {PROJECT} --name nnunet --as nnunet --no-install -o {PACKAGE}"""


def main() -> None:
    arguments = parse()
    if not arguments.nnunet.is_file():
        sys.exit(HOW_TO_MAKE.format(package=arguments.nnunet))
    dataset = read_dataset(arguments.data)
    held_out = [dataset.case(name) for name in fold_split([case.id for case in dataset.cases], fold=0).validation]
    segmenters = {
        SHIPPED: our_segmenter(MODEL, arguments.threads),
        EIGHT_BITS: our_segmenter(MODEL, arguments.threads, precision="int8"),
        PEER: nnunet_segmenter(arguments.nnunet, arguments.threads),
        SAME: our_segmenter(arguments.nnunet, arguments.threads),
    }
    print(f"nnunetv2 {version('nnunetv2')}, torch {version('torch')}, openvino {version('openvino')}; ", end="")
    print(f"{arguments.threads} threads each of {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as temporary:
        folders = segment_all(segmenters, studies_of(held_out), Path(temporary))
        scores = {name: mean_dice(folder, held_out, dataset) for name, folder in folders.items()}
        alike = agreement(folders[PEER], folders[SAME], held_out)
        timed = studies_of(spread(held_out, arguments.cases))
        seconds = take_turns(segmenters, timed, arguments.repeats)
    cold = cold_seconds(timed[0], arguments.repeats)
    report(scores, seconds, len(timed))
    print(json.dumps(summary(scores, seconds, alike, cold)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("SCNAS_DATA")
    default = Path(data) / "Task04_Hippocampus" if data else None
    parser.add_argument("--nnunet", type=Path, default=PACKAGE, help="package of nnU-Net's network, with its weights")
    parser.add_argument("--data", type=Path, default=default, required=default is None, help="dataset folder")
    parser.add_argument("--cases", type=int, default=44, help="held-out cases that are timed")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds, and cold starts")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side")
    return parser.parse_args()


def our_segmenter(model: Path | str, num_threads: int, *, precision: str = "float32") -> Segmenter:
    """Our predictor with a package or an installed model; a study is read or written while another is computed."""
    loaded = load_model(model, precision=precision, num_threads=num_threads)

    def segment(studies: Sequence[Path], folder: Path) -> None:
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            for _ in threads.map(lambda study: loaded.segment(load_volume(study)).save(folder / study.name), studies):
                pass

    return segment


def studies_of(cases: Sequence[Case]) -> list[Path]:
    return [case.images[0] for case in cases]


def spread(cases: Sequence[Case], number: int) -> list[Case]:
    """That many of the cases, from all over their list."""
    return [cases[index] for index in np.linspace(0, len(cases) - 1, min(number, len(cases))).round().astype(int)]


def segment_all(segmenters: Mapping[str, Segmenter], studies: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Each segmenter's folder of results."""
    folders = {name: folder / str(number) for number, name in enumerate(segmenters)}
    for name, segmenter in segmenters.items():
        folders[name].mkdir()
        segmenter(studies, folders[name])
    return folders


def mean_dice(folder: Path, cases: Sequence[Case], dataset: Dataset) -> dict[str, float]:
    """Mean Dice of each label over the cases; refuses a result that does not lie on its study's grid."""
    scores: dict[str, list[float | None]] = {name: [] for name in dataset.labels.values()}
    for case in cases:
        study, truth = load_case(dataset, case)
        result = load_volume(folder / case.images[0].name)
        require_same_grid(case.id, result, study)
        for value, name in dataset.labels.items():
            scores[name].append(dice(truth == value, result.data[0] == value))
    return {name: mean_of_known(values) or 0.0 for name, values in scores.items()}


def agreement(one: Path, other: Path, cases: Sequence[Case]) -> float:
    """Part of all voxels with the same label in both folders."""
    names = [case.images[0].name for case in cases]
    same = [load_volume(one / name).data == load_volume(other / name).data for name in names]
    return float(np.concatenate([each.ravel() for each in same]).mean())


def take_turns(segmenters: Mapping[str, Segmenter], studies: Sequence[Path], repeats: int) -> dict[str, list[float]]:
    """Seconds of each round of all studies; the order of the segmenters changes from round to round."""
    seconds: dict[str, list[float]] = {name: [] for name in segmenters}
    for number in range(repeats):
        for name in sorted(segmenters, reverse=bool(number % 2)):
            with tempfile.TemporaryDirectory() as folder:  # overwriting would have the disk wait
                started = time.perf_counter()
                segmenters[name](studies, Path(folder))
                seconds[name].append(time.perf_counter() - started)
    return seconds


def cold_seconds(study: Path, repeats: int) -> float:
    """Median wall seconds of `scnas segment` as a process; one before it fills the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(SCNAS), "segment", str(study), "-m", MODEL, "-o", str(Path(folder) / "labels.nii.gz")]
        return statistics.median([run(command)[0] for _ in range(repeats + 1)][1:])


def report(scores: Mapping[str, Mapping[str, float]], seconds: Mapping[str, Sequence[float]], num_studies: int) -> None:
    labels = list(scores[PEER])
    print(f"{'':22}{'studies/min':>12}{'ms a study':>12}" + "".join(f"{'Dice ' + label:>16}" for label in labels))
    for name, rounds in seconds.items():
        each = statistics.median(rounds) / num_studies
        figures = "".join(f"{scores[name][label]:16.4f}" for label in labels)
        print(f"{name:22}{60 / each:12.1f}{1e3 * each:12.1f}{figures}")


def summary(
    scores: Mapping[str, Mapping[str, float]], seconds: Mapping[str, Sequence[float]], alike: float, cold: float
) -> dict[str, float]:
    foreground = {name: statistics.mean(by_label.values()) for name, by_label in scores.items()}
    figures = {
        "studies_per_minute_ratio": ratio(seconds[PEER], seconds[SHIPPED]),
        "studies_per_minute_ratio_int8": ratio(seconds[PEER], seconds[EIGHT_BITS]),
        "same_network_ratio": ratio(seconds[PEER], seconds[SAME]),
        "dice_shipped": foreground[SHIPPED],
        "dice_shipped_int8": foreground[EIGHT_BITS],
        "dice_nnunet": foreground[PEER],
        "dice_nnunet_in_ours": foreground[SAME],
        "agreement": alike,
        "cold_seconds": cold,
    }
    return {name: round(value, 5) for name, value in figures.items()}


def ratio(peer: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as many studies a minute: the median over the rounds."""
    return statistics.median(theirs / own for theirs, own in zip(peer, ours, strict=True))


if __name__ == "__main__":
    main()
