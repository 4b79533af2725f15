"""How far two label maps agree, counted over any number of patches."""

import numpy as np


class Overlap:
    """Voxels of each class in two label maps, and in both at one place, summed over what has been added.

    Args:
        num_classes: Classes, background included.
    """

    def __init__(self, num_classes: int) -> None:
        self._both = np.zeros(num_classes, dtype=np.int64)
        self._in_either = np.zeros(num_classes, dtype=np.int64)

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Count two maps of class indices, of one shape."""
        num_classes = len(self._both)
        self._both += np.bincount(first[first == second], minlength=num_classes)
        for classes in (first, second):
            self._in_either += np.bincount(classes.ravel(), minlength=num_classes)

    @property
    def agreement(self) -> float:
        """Part of the voxels with the same class."""
        return float(2 * self._both.sum() / self._in_either.sum())

    def dice(self) -> np.ndarray:
        """Each class' Dice, float64; NaN where it is in neither map."""
        with np.errstate(invalid="ignore"):
            scores: np.ndarray = 2 * self._both / self._in_either
        return scores

    def least_dice(self) -> float:
        """The lowest Dice of a foreground class; 1 where there is none in either map."""
        foreground = self.dice()[1:]
        return float(min(foreground[np.isfinite(foreground)], default=1.0))
