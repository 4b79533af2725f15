"""gap.json: Dice of supernet, derived and retrained network on the same held-out patches. Torch-free."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.files import write_text
from scnas_deploy.networks.genotype import Provenance

GAP = "gap.json"


class Gap(Frozen):
    """gap.json, schema 1: mean foreground Dice on patches of the cases that search and training both held out."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    patches: str
    """SHA-256 of the patches."""
    supernet: float | None
    """Of the supernet with operations drawn at its last temperature; None where it was measured on other patches."""
    derived: float | None
    """Of the genotype with the supernet's weights; None where it was measured on other patches."""
    retrained: float | None

    @classmethod
    def of(cls, source: Provenance, patches: str, retrained: float | None) -> Self:
        """Put a retrained network beside what its search measured, where that was on the same patches."""
        same = source.report_patches == patches
        return cls(
            patches=patches,
            supernet=source.supernet_dice if same else None,
            derived=source.derived_dice if same else None,
            retrained=rounded(retrained),
        )

    def save(self, folder: Path) -> None:
        """Write gap.json into a run folder."""
        write_text(folder / GAP, to_json(self))


def load_gap(folder: Path) -> Gap:
    """Read a run folder's gap.json.

    Raises:
        FormatError: If it is missing or damaged.
    """
    return read_document(folder / GAP, Gap, made_by="scnas train")


def rounded(dice: float | None) -> float | None:
    """A Dice to the four digits that are reported."""
    return None if dice is None else round(dice, 4)
