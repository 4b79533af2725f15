"""A study to look at in a browser: three planes and 3-D with masks over them, in one file that needs no network.

The viewer (NiiVue) is given the study turned to the closest RAS+ axes and placed by its spacing alone. So it shows the
grid's own planes, which for an oblique study are the slices as they were taken: true millimetres would cut across them
and show interpolated slices that no scanner has made. Positions are worked out from the study's whole affine.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from scnas_deploy.data.orientation import to_ras
from scnas_deploy.data.percentiles import percentiles
from scnas_deploy.data.plan import Label
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import CapacityError, GeometryError
from scnas_deploy.pages import page
from scnas_deploy.pages.viewer_comparison import PREDICTION, TRUTH, Comparison, compare
from scnas_deploy.pages.viewer_images import embedded_image, readable, readable_bytes
from scnas_deploy.pages.viewer_layers import MaskLayer, mask_layer
from scnas_deploy.types import LabelsXYZ

_MOST_BYTES: Final = 400_000_000
"""Of all voxels of a page: in base64 no image comes near the 512 MiB that a browser allows of one text."""
_MOST_VOXELS_A_SIDE: Final = 2048
"""What graphics processors take of a 3-D texture."""
_WINDOW: Final = (0.5, 99.5)
"""Percentiles of the image that are shown black and white at first."""
_CT: Final = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""SOP class UIDs of images in Hounsfield units: CT, enhanced CT, legacy converted CT (PS3.4 B.5)."""
_SCRIPTS: Final = ("niivue.umd.js", "viewer.js")


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Layer:
    """A mask to show over the study."""

    name: str
    """'Prediction' and 'Truth' together are compared."""
    labels_XYZ: LabelsXYZ
    """On the study's own grid; each value but 0 has a label."""
    labels: tuple[Label, ...]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Scene:
    """What a viewer shows."""

    title: str
    """In words that identify nobody."""
    volume: Volume
    """Its first channel is shown."""
    layers: tuple[Layer, ...]
    facts: tuple[tuple[str, str], ...] = ()
    """Name and value of what else to say at the head of the page."""


def viewer_page(scene: Scene) -> str:
    """Make a page of a study and its masks.

    Raises:
        CapacityError: If the study is too large for one page.
        GeometryError: If a layer is not on the study's grid.
        FormatError: If a layer has values that none of its labels names.
    """
    _require_room(scene)
    volume, mapping = to_ras(scene.volume)
    layers = [_on_grid(layer, scene.volume) for layer in scene.layers]
    turned = [replace(layer, labels_XYZ=mapping.forward(layer.labels_XYZ)) for layer in layers]
    masks = [mask_layer(each.name, each.labels_XYZ, each.labels, volume.spacing_mm, volume.voxel_ml) for each in turned]
    comparison = compare(masks, volume.spacing_mm, volume.voxel_ml)
    shown = [*masks, comparison.differences] if comparison else masks
    voxels = readable(volume.data[0])
    return page.render(
        "viewer.html.j2",
        title=scene.title,
        facts=(*scene.facts, *_facts(scene.volume)),
        layers=shown,
        measured=masks,
        rows=_rows(masks, comparison),
        compared=comparison is not None,
        notes=[*_notes(scene.volume), *_not_compared(masks, comparison)],
        image=embedded_image(voxels, volume.spacing_mm),
        images=[embedded_image(mask.numbers_XYZ, volume.spacing_mm) for mask in shown],
        settings=_settings(volume, voxels, shown),
        presets=_presets(volume),
        scripts=_SCRIPTS,
    )


def _require_room(scene: Scene) -> None:
    voxels = scene.volume.data[0]
    taken = readable_bytes(voxels) + sum(layer.labels_XYZ.size for layer in scene.layers)
    if taken <= _MOST_BYTES and max(scene.volume.shape) <= _MOST_VOXELS_A_SIDE:
        return
    raise CapacityError(
        "the study",
        expected=f"at most {_MOST_BYTES // 10**6} MB of voxels, {_MOST_VOXELS_A_SIDE} along an axis, for a page",
        found=f"{taken / 1e6:.0f} MB, {' x '.join(map(str, scene.volume.shape))} voxels",
        remedy="Show fewer masks, or cut the study to the part of interest first",
    )


def _on_grid(layer: Layer, volume: Volume) -> Layer:
    if layer.labels_XYZ.shape != volume.shape:
        raise GeometryError(
            f"layer '{layer.name}'",
            expected=f"the study's {volume.shape} voxels",
            found=f"{layer.labels_XYZ.shape}",
            remedy="Bring the mask to the study's grid",
        )
    return layer


def _rows(masks: list[MaskLayer], comparison: Comparison | None) -> list[dict[str, Any]]:
    """Of the table of volumes, one a name of a structure."""
    names = dict.fromkeys(structure.name for mask in masks for structure in mask.structures)
    dice = comparison.dice if comparison else {}
    by_layer = [{structure.name: structure.ml for structure in mask.structures} for mask in masks]
    return [{"name": name, "ml": [volumes.get(name) for volumes in by_layer], "dice": dice.get(name)} for name in names]


def _facts(volume: Volume) -> tuple[tuple[str, str], ...]:
    size = " x ".join(map(str, volume.shape))
    spacing = " x ".join(f"{step:.3g}" for step in volume.spacing_mm)
    facts = [("Voxels", size), ("Spacing", f"{spacing} mm")]
    if volume.dicom is not None and volume.dicom.all_corrections:
        facts.append(("Planes corrected by", ", ".join(volume.dicom.all_corrections)))
    return tuple(facts)


def _notes(volume: Volume) -> list[str]:
    """What a reader must know to read the picture right."""
    notes = []
    if not volume.orientation_known:
        notes.append(
            "The study does not say which way the patient lies: sides are not known, and no letters are shown."
        )
    away = _oblique_degrees(volume)
    if away >= 1:
        notes.append(
            f"The study's axes are turned from the patient's by up to {away:.0f} degrees. The planes are the study's"
            " own; letters name the nearest directions."
        )
    if volume.num_channels > 1:
        notes.append(f"The first of {volume.num_channels} channels is shown.")
    return notes


def _not_compared(masks: list[MaskLayer], comparison: Comparison | None) -> list[str]:
    if comparison is not None or not {PREDICTION, TRUTH} <= {mask.name for mask in masks}:
        return []
    if len(masks) > len({PREDICTION, TRUTH}):
        return ["Structures overlap and lie in several layers, so prediction and truth are not compared."]
    return ["Prediction and truth have no structure of one name, so they are not compared."]


def _oblique_degrees(volume: Volume) -> float:
    """The largest angle between one of the grid's axes and the patient's axis next to it."""
    axes = volume.affine_ras[:3, :3] / np.linalg.norm(volume.affine_ras[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(axes).max(axis=0), 0, 1))).max())


def _settings(volume: Volume, voxels_XYZ: np.ndarray, shown: list[MaskLayer]) -> dict[str, Any]:
    """What the page's script needs to know."""
    low, high = percentiles(voxels_XYZ, _WINDOW)
    return {
        "shape": volume.shape,
        "affine": volume.affine_ras.tolist(),
        "orientationKnown": volume.orientation_known,
        "window": [low, high if high > low else low + 1],
        "start": _start(volume, shown),
        "layers": [
            {
                "name": mask.name,
                "structures": [
                    {"name": each.name, "color": each.color, "focus": each.focus} for each in mask.structures
                ],
            }
            for mask in shown
        ],
    }


def _start(volume: Volume, masks: list[MaskLayer]) -> tuple[int, ...]:
    """Where the crosshair stands at first: in the largest structure of the first mask that has any."""
    for mask in masks:
        found = [each for each in mask.structures if each.focus is not None]
        if found:
            largest = max(found, key=lambda each: each.num_voxels)
            assert largest.focus is not None
            return largest.focus
    return tuple(size // 2 for size in volume.shape)


def _presets(volume: Volume) -> list[tuple[str, int, int]]:
    """Windows of CT, in Hounsfield units: name, level, width."""
    if volume.dicom is None or volume.dicom.planes[0].instance.sop_class not in _CT:
        return []
    return [("Soft tissue", 50, 400), ("Brain", 40, 80), ("Lung", -600, 1500), ("Bone", 400, 1800), ("Liver", 90, 150)]
