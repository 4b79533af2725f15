"""From a dataset's fingerprint to its plan."""

import math
import re

from scnas_deploy.data.dataset import Dataset
from scnas_deploy.data.fingerprint import ChannelFigures, Fingerprint
from scnas_deploy.data.plan import (
    Channel,
    ClippedZScore,
    CodedTerm,
    InputLimits,
    Label,
    Normalisation,
    Plan,
    Range,
    SeriesRule,
    ZScore,
)
from scnas_deploy.errors import ConfigError
from scnas_deploy.project import ChannelSettings, LabelSettings, PlanSettings, Project
from scnas_deploy.types import Shape3, Spacing

STRIDE = 8
"""Three 2x downsamplings: every patch size is a multiple of 2^3 (PAPER: SCNAS, Fig. 1)."""

GEOMETRY_TOLERANCE = 1.5
"""Factor by which a study's spacing and extent may leave the training cases' range."""

_MIN_PATCH = 24
"""At the coarsest level three voxels must be left for a 3x3x3 pooling."""

_BYTES_PER_VOXEL = 8 * 1024
"""Training memory of the 48-channel supernet per patch voxel: 16 GiB at 128^3, as on the paper's GPUs."""

_PALETTE = (
    "#e6194b",
    "#3cb44b",
    "#4363d8",
    "#f58231",
    "#911eb4",
    "#46f0f0",
    "#f032e6",
    "#bcf60c",
    "#fabebe",
    "#008080",
)
_SIDES = {"left", "right", "lt", "rt", "lh", "rh", "l", "r"}
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""The words of a name, whether they are set apart by signs, digits or capitals: 'LeftKidney', 'ctx_rh_insula'."""

_SPELLED_OUT = re.compile("left|right", re.IGNORECASE)
"""Anywhere, as in 'leftlung': a false alarm costs some augmentation, a miss exchanges two structures."""


_MODALITIES = {
    "CT": {"ct"},
    "MR": {"mr", "mri", "t1", "t2", "t1w", "t2w", "t1gd", "t1ce", "t1c", "flair", "adc", "dwi", "pd"},
    "PT": {"pt", "pet"},
}
"""DICOM modality -> words by which datasets call its channels."""


def default_labels(dataset: Dataset) -> dict[int, LabelSettings]:
    """Name the dataset's labels and give each a colour."""
    return {
        value: LabelSettings(name=name, color=_PALETTE[index % len(_PALETTE)])
        for index, (value, name) in enumerate(dataset.labels.items())
    }


def default_channels(dataset: Dataset) -> dict[int, ChannelSettings]:
    """Choose by each channel's name how it is normalised (CT is calibrated, all else is not) and found in a study."""
    return {
        index: ChannelSettings(
            name=name, normalisation="ct" if name.strip().lower() == "ct" else "zscore", select=_default_rules(name)
        )
        for index, name in enumerate(dataset.channels)
    }


def _default_rules(name: str) -> dict[str, str]:
    """The modality, where the name says it."""
    words = set(re.findall("[a-z0-9]+", name.lower()))
    modalities = [modality for modality, names in _MODALITIES.items() if words & names]
    return {"Modality": f"^{modalities[0]}$"} if len(modalities) == 1 else {}


def make_plan(dataset: Dataset, fingerprint: Fingerprint, project: Project) -> Plan:
    """Decide how studies of this dataset are prepared.

    Args:
        dataset: The dataset.
        fingerprint: Its summary.
        project: The user's labels, channels and overrides.

    Raises:
        ConfigError: If the project's labels or channels are not the dataset's, or a patch size is no
            multiple of the network's stride.
    """
    _require_same_keys("[labels]", set(project.labels), set(dataset.labels))
    _require_same_keys("[channels]", set(project.channels), set(range(len(dataset.channels))))
    settings = project.plan
    spacing = settings.spacing_mm or fingerprint.spacing_median_mm
    return Plan(
        name=project.name,
        dataset_fingerprint=fingerprint.digest,
        spacing_mm=spacing,
        patch_size=_patch_size(fingerprint, spacing, settings),
        crop=settings.crop,
        channels=tuple(
            Channel(
                name=channel.name,
                normalisation=_normalisation(channel, fingerprint.channels[index]),
                select=tuple(SeriesRule(attribute=key, matches=value) for key, value in channel.select.items()),
            )
            for index, channel in sorted(project.channels.items())
        ),
        labels=tuple(_label(value, label) for value, label in sorted(project.labels.items())),
        mirror_axes=_mirror_axes(project) if settings.mirror_axes is None else settings.mirror_axes,
        limits=_limits(fingerprint, project),
    )


def _normalisation(channel: ChannelSettings, figures: ChannelFigures) -> Normalisation:
    if channel.normalisation == "zscore":
        return ZScore()
    return ClippedZScore(
        low=figures.foreground_low,
        high=figures.foreground_high,
        mean=figures.foreground_mean,
        std=max(figures.foreground_std, 1e-3),
    )


def _label(value: int, settings: LabelSettings) -> Label:
    code = settings.code
    term = None if code is None else CodedTerm(value=code[0], scheme=code[1], meaning=code[2])
    return Label(value=value, name=settings.name, color=settings.color, code=term)


def _mirror_axes(project: Project) -> tuple[int, ...]:
    """All axes, but never left to right where a label's name says a side."""
    words = {word.lower() for label in project.labels.values() for word in _WORDS.findall(label.name)}
    names = " ".join(label.name for label in project.labels.values())
    has_sides = bool(words & _SIDES) or _SPELLED_OUT.search(names) is not None
    return (1, 2) if has_sides else (0, 1, 2)


def _patch_size(fingerprint: Fingerprint, spacing: Spacing, settings: PlanSettings) -> Shape3:
    """The median cropped study, rounded up to the stride; then the longest axis shrinks until it fits."""
    if settings.patch_size is not None:
        if any(size % STRIDE or size < _MIN_PATCH for size in settings.patch_size):
            raise ConfigError(
                "[plan] patch_size",
                expected=f"multiples of {STRIDE}, at least {_MIN_PATCH}",
                found=str(settings.patch_size),
                remedy="Round each axis to a multiple",
            )
        return settings.patch_size
    extent = fingerprint.cropped_extent_median_mm
    size = [
        max(_MIN_PATCH, STRIDE * math.ceil(round(mm / step) / STRIDE)) for mm, step in zip(extent, spacing, strict=True)
    ]
    max_voxels = settings.memory_gib * 1024**3 / _BYTES_PER_VOXEL
    while math.prod(size) > max_voxels and max(size) > _MIN_PATCH:
        size[size.index(max(size))] -= STRIDE
    return size[0], size[1], size[2]


def _limits(fingerprint: Fingerprint, project: Project) -> InputLimits:
    def widen(low: Spacing, high: Spacing) -> tuple[Range, Range, Range]:
        x, y, z = (
            (round(a / GEOMETRY_TOLERANCE, 6), round(b * GEOMETRY_TOLERANCE, 6)) for a, b in zip(low, high, strict=True)
        )
        return x, y, z

    return InputLimits(
        spacing_mm=widen(fingerprint.spacing_min_mm, fingerprint.spacing_max_mm),
        extent_mm=widen(fingerprint.extent_min_mm, fingerprint.extent_max_mm),
        intensity=tuple(
            _intensity_range(fingerprint.channels[index]) if channel.normalisation == "ct" else None
            for index, channel in sorted(project.channels.items())
        ),
    )


def _intensity_range(figures: ChannelFigures) -> Range:
    width = figures.percentile_99_5 - figures.percentile_00_5
    return round(figures.percentile_00_5 - width / 2, 3), round(figures.percentile_99_5 + width / 2, 3)


def _require_same_keys(table: str, given: set[int], needed: set[int]) -> None:
    if given != needed:
        raise ConfigError(
            f"scnas.toml, {table}",
            expected=f"exactly the dataset's entries {sorted(needed)}",
            found=str(sorted(given)),
            remedy="Correct the table, or delete it and run `scnas init` again",
        )
