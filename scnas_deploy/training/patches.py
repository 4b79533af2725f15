"""Random patches of prepared cases, each one a function of the seed and its number."""

import os
import signal
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scnas_deploy.training.augmentation import Augmentation
from scnas_deploy.training.prepared import PreparedCase
from scnas_deploy.training.seeding import derive_seed, global_seed
from scnas_deploy.types import Shape3

Sample = tuple[Tensor, Tensor]
"""Image (C, X, Y, Z) and classes (X, Y, Z); batched by the loader."""


class PatchStream(Dataset[Sample]):
    """An endless, numbered stream of patches.

    Args:
        cases: Where the patches come from.
        augmentation: What is done to them; it says how large a region it needs.
        foreground: Part of the patches that are centred on a voxel of a random class.
        key: Seed and purpose of the stream; sample i is a function of the key and i alone.
        rank: Which share of each batch is wanted, where several processes divide it.
        world_size: Number of shares.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        augmentation: Augmentation,
        *,
        foreground: float,
        key: tuple[str | int, ...],
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._cases, self._augmentation = cases, augmentation
        self._foreground, self._key = foreground, key
        self._rank, self._world_size = rank, world_size

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng(derive_seed(*self._key, number))
        case = self._cases[int(rng.integers(len(self._cases)))]
        centre = self._centre(case, rng)
        image, classes = _cut(case, centre, self._augmentation.region_size)
        with global_seed(*self._key, number, "augmentation"):
            return self._augmentation(torch.from_numpy(image), torch.from_numpy(classes))

    def batches(self, first: int, count: int, batch_size: int, *, num_workers: int = 0) -> Iterator[Sample]:
        """Iterate over this rank's share of ``count`` batches, the first being batch number ``first`` of the stream.

        Args:
            first: Number of the first batch.
            count: How many batches.
            batch_size: Samples of a whole batch, a multiple of the number of shares.
            num_workers: Processes that make the patches; 0 makes them when they are asked for.
        """
        loader = DataLoader(
            self,
            batch_sampler=[self._share(batch, batch_size) for batch in range(first, first + count)],
            num_workers=num_workers,
            multiprocessing_context="fork" if num_workers else None,
            worker_init_fn=_leave_signals_to_the_parent,
        )
        return iter(loader)

    def _share(self, batch: int, batch_size: int) -> list[int]:
        """Numbers of the samples of a batch that this rank makes."""
        size = batch_size // self._world_size
        start = batch * batch_size + self._rank * size
        return list(range(start, start + size))

    def _centre(self, case: PreparedCase, rng: np.random.Generator) -> np.ndarray:
        present = [places for places in case.places if len(places)]
        if present and rng.random() < self._foreground:
            places = present[int(rng.integers(len(present)))]
            centre: np.ndarray = places[rng.integers(len(places))]
            return centre
        return rng.integers(0, case.classes_XYZ.shape)


def _leave_signals_to_the_parent(_worker: int) -> None:
    """Ctrl-C and torchrun signal a whole process group; the loop finishes its step and needs its workers for that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgid(0, 0)


def _cut(case: PreparedCase, centre: np.ndarray, size: Shape3) -> tuple[np.ndarray, np.ndarray]:
    """Cut a region around a voxel, moved inwards where the case allows it, padded with zeros where not."""
    image = np.zeros((len(case.image_CXYZ), *size), dtype=np.float32)
    classes = np.zeros(size, dtype=np.uint8)
    source, target = [], []
    for middle, wanted, available in zip(centre.tolist(), size, case.classes_XYZ.shape, strict=True):
        if available >= wanted:
            start = min(max(middle - wanted // 2, 0), available - wanted)
            source.append(slice(start, start + wanted))
            target.append(slice(0, wanted))
        else:
            offset = (wanted - available) // 2
            source.append(slice(0, available))
            target.append(slice(offset, offset + available))
    image[(slice(None), *target)] = case.image_CXYZ[(slice(None), *source)]
    classes[tuple(target)] = case.classes_XYZ[tuple(source)]
    return image, classes
