"""Prepared cases on disk: each case is read, turned, cropped, normalised and resampled once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scnas_deploy.data.check import load_case
from scnas_deploy.data.dataset import Case, Dataset
from scnas_deploy.data.plan import Plan
from scnas_deploy.data.preprocess import prepare
from scnas_deploy.files import atomic_path, sha256_of
from scnas_deploy.types import ImageCXYZ, LabelsXYZ

_CACHE_VERSION = 2
_MAX_PLACES = 10_000


@dataclass(frozen=True, eq=False, slots=True)
class PreparedCase:
    """One case as the network sees it."""

    id: str
    image_CXYZ: ImageCXYZ
    """Memory-mapped."""
    classes_XYZ: LabelsXYZ
    """Class indices, uint8, memory-mapped: 0 is background, 1 is the plan's first label."""
    places: tuple[np.ndarray, ...]
    """For each foreground class, up to 10,000 of its voxels, shape (N, 3)."""


class PreparedCases:
    """The prepared cases of a dataset under one plan, made when first asked for.

    Args:
        dataset: The dataset.
        plan: How cases are prepared.
        folder: The cache; entries made under another plan or from other files are not used.
    """

    def __init__(self, dataset: Dataset, plan: Plan, folder: Path) -> None:
        self._dataset, self._plan = dataset, plan
        self._folder = folder / sha256_of(f"{_CACHE_VERSION}{_preparation(plan)}".encode())[:16]

    def load(self, case_ids: Sequence[str], progress: Callable[[int, int], None] | None = None) -> list[PreparedCase]:
        """Return the cases, preparing those that are not in the cache yet."""
        cases = []
        for number, case_id in enumerate(case_ids, 1):
            cases.append(self._load_one(self._dataset.case(case_id)))
            if progress is not None:
                progress(number, len(case_ids))
        return cases

    def _load_one(self, case: Case) -> PreparedCase:
        folder = self._folder / f"{case.id}-{_files_key(case)}"
        if not (folder / "places.npz").is_file():
            folder.mkdir(parents=True, exist_ok=True)  # another run may be preparing the same case: both write the same
            self._prepare(case, folder)
        with np.load(folder / "places.npz", allow_pickle=False) as stored:
            places = tuple(stored[str(index)] for index in range(1, self._plan.num_classes))
        return PreparedCase(
            case.id,
            np.load(folder / "image.npy", mmap_mode="r"),
            np.load(folder / "classes.npy", mmap_mode="r"),
            places,
        )

    def _prepare(self, case: Case, folder: Path) -> None:
        volume, labels = load_case(self._dataset, case)
        image, way_back = prepare(volume, self._plan)
        classes = to_classes(way_back.follow(labels), self._plan)
        _save(folder / "image.npy", image)
        _save(folder / "classes.npy", classes)
        places = {str(index): _places(classes, index) for index in range(1, self._plan.num_classes)}
        with atomic_path(folder / "places.npz") as temporary:  # last: its presence says the case is complete
            np.savez(temporary, **places)  # type: ignore[arg-type]


def _preparation(plan: Plan) -> str:
    """What of a plan changes prepared cases: all but the size of the patches that are cut from them."""
    return plan.model_dump_json(by_alias=True, exclude={"patch_size"})


def to_classes(labels_XYZ: LabelsXYZ, plan: Plan) -> LabelsXYZ:
    """Turn label values into class indices, uint8."""
    classes = np.zeros(labels_XYZ.shape, dtype=np.uint8)
    for index, value in enumerate(plan.class_values[1:], 1):
        classes[labels_XYZ == value] = index
    return classes


def _places(classes_XYZ: LabelsXYZ, index: int) -> np.ndarray:
    places = np.argwhere(classes_XYZ == index).astype(np.int32)
    return places[:: max(1, -(-len(places) // _MAX_PLACES))]


def _files_key(case: Case) -> str:
    """Change when a source file does: its size and modification time."""
    stats = [path.stat() for path in (*case.images, case.label)]
    return sha256_of(repr([(stat.st_size, stat.st_mtime_ns) for stat in stats]).encode())[:12]


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
