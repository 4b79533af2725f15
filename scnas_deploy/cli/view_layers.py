"""scnas view: masks of any form become layers on the study's grid."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scnas_deploy.data.plan import Label
from scnas_deploy.pages.viewer import Layer
from scnas_deploy.types import LabelsXYZ, Shape3

_COLORS: Final = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
"""Of structures that have none of their own; by Okabe and Ito, for colour-blind people too."""


@dataclass(frozen=True, eq=False, slots=True)
class NamedMask:
    """One structure on the study's grid."""

    name: str
    color: str | None
    """#rrggbb; None where it has none of its own."""
    mask_XYZ: np.ndarray
    """bool."""


def named_labels(values: Sequence[int], known: Sequence[Label]) -> tuple[Label, ...]:
    """Name the values of a mask: by the labels known where these name them all, else by their numbers.

    A plan that knows some of the values and not others is another task's.
    """
    if values and set(values) <= {label.value for label in known}:
        return tuple(known)
    return tuple(Label(value=value, name=f"label {value}", color=color_of(k)) for k, value in enumerate(values))


def color_of(index: int) -> str:
    """Return a colour for a structure that has none."""
    return _COLORS[index % len(_COLORS)]


def layers_of(name: str, structures: Iterable[NamedMask], shape: Shape3) -> list[Layer]:
    """Lay structures into as few layers as hold them without an overlap, so that none hides a part of another.

    Args:
        name: Of the first layer; the others are numbered.
        structures: Whose masks are read one after the other; further ones of one name are numbered.
        shape: The study's.
    """
    laid: list[tuple[LabelsXYZ, list[Label]]] = []
    taken: Counter[str] = Counter()
    for number, structure in enumerate(structures, start=1):
        fitting = [each for each in laid if not each[0][structure.mask_XYZ].any()]
        if not fitting:
            laid.append((np.zeros(shape, dtype=np.uint16), []))
            fitting = laid[-1:]
        labels, names = fitting[0]
        labels[structure.mask_XYZ] = number
        taken[structure.name] += 1
        title = structure.name if taken[structure.name] == 1 else f"{structure.name} #{taken[structure.name]}"
        names.append(Label(value=number, name=title, color=structure.color or color_of(number - 1)))
    return [
        Layer(name=name if k == 1 else f"{name} ({k})", labels_XYZ=labels, labels=tuple(names))
        for k, (labels, names) in enumerate(laid, start=1)
    ]
