"""scnas.toml: the project file of a user's working folder.

``scnas init`` writes it; every command reads it, so that each works bare. The file is the user's: ``init``
run again keeps what it says and only makes a new plan from it.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import tomlkit
from pydantic import Field, PositiveFloat, PositiveInt, ValidationError
from tomlkit.items import Table

from scnas_deploy.documents import Frozen
from scnas_deploy.errors import ConfigError
from scnas_deploy.files import write_text

PROJECT_FILE = "scnas.toml"


class LabelSettings(Frozen):
    """One entry of ``[labels]``."""

    name: str
    color: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
    code: tuple[str, str, str] | None = None
    """DICOM coded term: value, scheme, meaning."""


class ChannelSettings(Frozen):
    """One entry of ``[channels]``."""

    name: str
    normalisation: Literal["zscore", "ct"]
    select: dict[str, str] = Field(default_factory=dict)
    """DICOM keyword -> regular expression that a series' value must match to serve the channel."""


_CHANNELS_COMMENT = 'normalisation: "zscore", or "ct" for calibrated units; select: what a DICOM series must say.'


class PlanSettings(Frozen):
    """``[plan]``: what the user decides instead of the fingerprint. Every field may be left out."""

    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    patch_size: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    mirror_axes: tuple[Literal[0, 1, 2], ...] | None = None
    crop: Literal["nonzero", "none"] = "nonzero"
    memory_gib: PositiveFloat = 16.0
    """Memory that one training patch of the paper's network may take; it bounds the patch size."""


class SearchSettings(Frozen):
    """``[search]``."""

    preset: Literal["auto", "paper", "fast", "cpu"] = "auto"
    fold: Annotated[int, Field(ge=0, le=4)] = 0
    seed: int = 0


class TrainSettings(Frozen):
    """``[train]``."""

    preset: Literal["auto", "paper", "fast", "cpu"] = "auto"
    fold: Annotated[int, Field(ge=0, le=4)] = 0
    seed: int = 0


class Project(Frozen):
    """scnas.toml, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    name: str
    dataset: Path
    """The dataset folder; a relative one counts from the project file."""
    exclude: tuple[str, ...] = ()
    """Ids of cases that are not used."""
    labels: dict[int, LabelSettings] = Field(default_factory=dict)
    channels: dict[int, ChannelSettings] = Field(default_factory=dict)
    plan: PlanSettings = PlanSettings()
    search: SearchSettings = SearchSettings()
    train: TrainSettings = TrainSettings()


def load_project(folder: Path) -> Project:
    """Read ``folder``/scnas.toml; ``dataset`` comes back absolute.

    Raises:
        ConfigError: If it is missing, not valid TOML, or says something unknown.
    """
    path = folder / PROJECT_FILE
    if not path.is_file():
        raise ConfigError(
            path,
            expected="a project file",
            found="none in this folder",
            remedy="Run `scnas init DATASET` here, or name another folder with --project",
        )
    try:
        project = Project.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, expected="valid TOML", found=str(error), remedy="Correct the file") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{path}, '{place}'", expected="a known setting", found=first["msg"], remedy="Correct the setting"
        ) from error
    return project.model_copy(update={"dataset": (folder / project.dataset).resolve()})


def save_project(folder: Path, project: Project) -> None:
    """Write ``folder``/scnas.toml with a word about each table."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by `scnas init`, yours to edit; run `scnas init` again after a change."))
    document.add("schema", tomlkit.item(project.schema_version))
    document.add("name", tomlkit.item(project.name))
    document.add("dataset", tomlkit.item(str(project.dataset)))
    document.add("exclude", tomlkit.item(list(project.exclude)))
    document.add("labels", _entries(project.labels, 'Mask values; code = ["78961009", "SCT", "Spleen"] adds a term.'))
    document.add("channels", _entries(project.channels, _CHANNELS_COMMENT))
    document.add("plan", _settings(project.plan, "Overrides: spacing_mm, patch_size, mirror_axes, crop, memory_gib."))
    document.add("search", _settings(project.search, 'preset: "auto", "paper" (GPU), "fast" or "cpu".'))
    document.add("train", _settings(project.train, 'preset: "auto", "paper" (GPU), "fast" or "cpu"; fold 0 to 4.'))
    write_text(folder / PROJECT_FILE, tomlkit.dumps(document))


def _entries(entries: dict[int, LabelSettings] | dict[int, ChannelSettings], comment: str) -> Table:
    table = tomlkit.table()
    table.comment(comment)
    for key, entry in entries.items():
        inline = tomlkit.inline_table()
        inline.update(entry.model_dump(mode="json", exclude_none=True))
        table.add(str(key), inline)
    return table


def _settings(settings: Frozen, comment: str) -> Table:
    table = tomlkit.table()
    table.comment(comment)
    table.update(settings.model_dump(mode="json", exclude_none=True))
    return table
