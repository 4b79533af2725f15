"""Three planes of a study with truth and prediction outlined."""

from pathlib import Path

import matplotlib as mpl
import nibabel as nib
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_PLANES = (
    ("sagittal", 0, ("P", "A"), ("I", "S")),
    ("coronal", 1, ("R", "L"), ("I", "S")),
    ("axial", 2, ("R", "L"), ("P", "A")),
)
"""Name, axis cut, what lies left/right and below/above: the patient's right on the left, as radiologists look."""


def draw_picture(
    study: Path, truth: Path, prediction: Path, target: Path, labels: dict[int, tuple[str, str]], *, title: str
) -> Path:
    """Draw the planes through the middle of the true structures; returns ``target``."""
    image, true, predicted = (nib.as_closest_canonical(nib.load(path)) for path in (study, truth, prediction))
    spacing = np.array(image.header.get_zooms()[:3], dtype=float)
    arrays = [np.asanyarray(volume.dataobj) for volume in (image, true, predicted)]
    middle = np.argwhere(arrays[1] > 0).mean(axis=0).round().astype(int)
    figure, axes = plt.subplots(1, 3, figsize=(13, 5.4), facecolor="black")
    for axis, plane in zip(axes, _PLANES, strict=True):
        _draw_plane(axis, plane, [_cut(array, plane, middle) for array in arrays], spacing, labels)
    handles = [plt.Line2D([], [], color=color, lw=2, label=name) for name, color in labels.values()]
    handles += [
        plt.Line2D([], [], color="white", lw=2, ls="-", label="predicted"),
        plt.Line2D([], [], color="white", lw=2, ls=":", label="truth"),
    ]
    figure.legend(
        handles=handles, loc="lower center", ncol=len(handles), facecolor="black", labelcolor="white", frameon=False
    )
    figure.suptitle(title, color="white")
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(target, dpi=110, facecolor="black")
    plt.close(figure)
    return target


def _cut(volume: np.ndarray, plane: tuple, middle: np.ndarray) -> np.ndarray:
    """Cut one plane, transposed so that rows run upwards; R lies on the left."""
    name, axis, *_ = plane
    cut = volume.take(middle[axis], axis=axis).T
    return cut if name == "sagittal" else cut[:, ::-1]


def _draw_plane(
    axis: Axes, plane: tuple, cuts: list[np.ndarray], spacing: np.ndarray, labels: dict[int, tuple[str, str]]
) -> None:
    name, normal, (left, right), (below, above) = plane
    across, up = (spacing[other] for other in range(3) if other != normal)
    image, true, predicted = cuts
    axis.imshow(image, cmap="gray", origin="lower", aspect=up / across, interpolation="bicubic")
    for value, (_, color) in labels.items():
        for mask, style in ((predicted == value, "solid"), (true == value, "dotted")):
            if mask.any():
                axis.contour(mask.astype(float), levels=[0.5], colors=color, linewidths=1.8, linestyles=style)
    axis.set_title(name, color="white")
    axis.axis("off")
    for text, x, y in ((left, 0.03, 0.5), (right, 0.97, 0.5), (below, 0.5, 0.05), (above, 0.5, 0.95)):
        axis.text(x, y, text, color="yellow", transform=axis.transAxes, ha="center", va="center", fontsize=12)
