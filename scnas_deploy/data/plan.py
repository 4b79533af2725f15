"""plan.json: how studies of one task are prepared, and what their labels mean.

Written once by ``scnas init`` from the dataset's fingerprint, carried unchanged by every run and every
model package, so that a study is prepared for inference exactly as the cases were for training.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.files import write_text
from scnas_deploy.types import Shape3

Range = tuple[float, float]


class ZScore(Frozen):
    """Subtract the mean and divide by the standard deviation of each study's own non-zero voxels."""

    kind: Literal["zscore"] = "zscore"


class ClippedZScore(Frozen):
    """Clip to a range, then normalise by fixed figures: for calibrated intensities such as CT's Hounsfield units.

    The range is the 0.5th to 99.5th percentile of the training cases' foreground voxels (nnU-Net's rule).
    """

    kind: Literal["clipped_zscore"] = "clipped_zscore"
    low: float
    high: float
    mean: float
    std: PositiveFloat


Normalisation = Annotated[ZScore | ClippedZScore, Field(discriminator="kind")]


class CodedTerm(Frozen):
    """A DICOM coded term (PS3.16), for instance (78961009, SCT, 'Spleen')."""

    value: str
    scheme: str
    meaning: str


class SeriesRule(Frozen):
    """One condition on a DICOM attribute that a series must meet to serve a channel."""

    attribute: str
    """DICOM keyword, for instance 'SeriesDescription'."""
    matches: str
    """Regular expression, searched without regard to case."""


class Channel(Frozen):
    """One input channel."""

    name: str
    normalisation: Normalisation
    select: tuple[SeriesRule, ...] = ()
    """Which DICOM series serves this channel; empty: any single one."""


class Label(Frozen):
    """One structure of the mask."""

    value: PositiveInt
    name: str
    color: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
    code: CodedTerm | None = None


class InputLimits(Frozen):
    """What a study may look like for a model of this plan; outside of it, inference refuses.

    The ranges of the training cases in RAS order, widened by a stated tolerance when the plan is made.
    """

    spacing_mm: tuple[Range, Range, Range]
    """Lowest and highest voxel spacing along R, A, S."""
    extent_mm: tuple[Range, Range, Range]
    """Lowest and highest field of view along R, A, S."""
    intensity: tuple[Range | None, ...]
    """Per channel, the range the 0.5th and 99.5th percentile must lie in; None where intensities are arbitrary."""


class Plan(Frozen):
    """How studies are prepared, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    name: str
    dataset_fingerprint: str
    """SHA-256 of the dataset's fingerprint."""
    orientation: Literal["RAS"] = "RAS"
    """Axis directions the network sees: the study's axes permuted and flipped to the closest of these."""
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    patch_size: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Voxels along X, Y, Z at the plan's spacing."""
    crop: Literal["nonzero", "none"]
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)]
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    """Labels in the order of the network's classes 1, 2, ...; class 0 is background."""
    mirror_axes: tuple[Literal[0, 1, 2], ...]
    """Axes along which a mirrored study is still a valid one (0 R, 1 A, 2 S)."""
    limits: InputLimits

    @model_validator(mode="after")
    def _consistent(self) -> "Plan":
        values = [label.value for label in self.labels]
        if len(set(values)) != len(values):
            raise ValueError(f"two labels share one value: {values}")
        if len(self.limits.intensity) != len(self.channels):
            raise ValueError("limits.intensity must have one entry a channel")
        return self

    @property
    def num_classes(self) -> int:
        """Classes of the network, background included."""
        return len(self.labels) + 1

    @property
    def class_values(self) -> tuple[int, ...]:
        """Class index -> label value in the mask."""
        return (0, *(label.value for label in self.labels))

    def with_patch_size(self, size: Shape3 | None) -> "Plan":
        """Return the plan with another patch size; None keeps its own."""
        return self if size is None else self.model_copy(update={"patch_size": size})

    def save(self, path: Path) -> None:
        """Write plan.json."""
        write_text(path, to_json(self))


def load_plan(path: Path) -> Plan:
    """Read plan.json.

    Raises:
        FormatError: If it is missing, damaged, or of another schema version.
    """
    return read_document(path, Plan, made_by="scnas init")
