"""manifest.json of a model package: what it is, for what, by what, and how it was proven."""

from typing import Annotated, Literal

from pydantic import Field

from scnas_deploy.documents import Frozen

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Precision = Literal["float32", "float16", "int8"]
"""Of an exported network's products: half precision keeps norms and reductions in float32; int8 is OpenVINO's."""

INPUT, OUTPUT = "image", "logits"
"""What an exported network calls its tensors."""

RESEARCH_USE = "For research use only. Not a medical device; not for diagnosis or treatment decisions."


class ParityRecord(Frozen):
    """One engine's answers to real preprocessed patches, compared with PyTorch's."""

    engine: str
    num_patches: int
    max_abs_error: float
    """Largest absolute difference of a logit."""
    max_rel_error: float
    """Largest absolute difference, relative to the patch's largest absolute logit."""
    label_agreement: float
    """Part of the voxels with the same label."""
    label_dice: float
    """Lowest Dice over the foreground classes between the two label maps."""
    dice_loss: float | None = None
    """PyTorch's Dice against the true labels less the engine's, of the foreground class that loses most; below zero
    where each one gains, None where the truth was not at hand."""


class CanaryRecord(Frozen):
    """How far the answer to the canary was from the network's own, in the engine that was farthest off."""

    max_abs_error: float
    """Largest absolute difference of a logit."""
    label_agreement: float
    """Part of the voxels with the same label."""


class Artefact(Frozen):
    """One exported form of the network."""

    file: str
    precision: Precision = "float32"
    parity: tuple[ParityRecord, ...]
    canary: CanaryRecord | None = None
    """Of the engines that proved it; an engine that runs it later may be off by a multiple of that."""


class MeasuredDice(Frozen):
    """Dice on cases that neither search nor training has seen."""

    num_cases: int
    fold: int
    by_label: dict[str, float | None]
    """Label name -> mean Dice; None where no case has the label."""


class TrainingRecord(Frozen):
    """How the weights came about."""

    preset: str
    fold: int
    """Held out from search and training."""
    seed: int


class Manifest(Frozen):
    """manifest.json, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Also a file name, so that it holds letters, digits and . _ - alone."""
    written_by: str
    """Package and version that wrote it."""
    intended_use: str = RESEARCH_USE
    dataset_fingerprint: str
    structure_hash: str
    """Hash of the genotype's structure, as the search's genotype.json gives it at any width."""
    patch_size: tuple[int, int, int]
    """Effective patch size; it overrides the plan's."""
    artefacts: Annotated[tuple[Artefact, ...], Field(min_length=1)]
    measured_dice: MeasuredDice | None
    training: TrainingRecord
    digests: dict[str, str]
    """Member name -> SHA-256 of its bytes, for every member but this one."""
