"""Run folders: runs/<name>/ with the resolved settings, plan and genotype of a search or a training. Torch-free."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from scnas_deploy.data.plan import Plan, load_plan
from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.errors import ConfigError, DataError, FormatError
from scnas_deploy.files import write_text
from scnas_deploy.networks.genotype import Genotype, load_genotype, own_patch_size
from scnas_deploy.training.evaluation import Evaluation

RUN, PLAN, GENOTYPE, EVALUATION = "run.json", "plan.json", "genotype.json", "evaluation.json"

Config = TypeVar("Config")


class RunRecord(Frozen):
    """run.json, schema 1: what a run was started with."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    kind: Literal["search", "train"]
    space: Literal["scnas", "ronasmis"] | None = None
    """Of a search."""
    fold: int
    preset: str
    config: dict[str, Any]
    """The resolved settings, every field."""


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, record: RunRecord, plan: Plan, genotype: Genotype | None = None) -> None:
        """Start a run: write its settings, plan and, for a training, its genotype.

        Raises:
            ConfigError: If the folder holds a run already.
        """
        if (self.path / RUN).is_file():
            raise ConfigError(
                self.path,
                expected="a name without a run",
                found="a run that has started",
                remedy="Continue it with --resume, or choose another --name",
            )
        self.path.mkdir(parents=True, exist_ok=True)
        plan.save(self.path / PLAN)
        if genotype is not None:
            genotype.save(self.path / GENOTYPE)
        write_text(self.path / RUN, to_json(record))

    def record(self) -> RunRecord:
        """Read the settings.

        Raises:
            DataError: If the folder holds no run.
            FormatError: If its settings are damaged or not this version's.
        """
        if not (self.path / RUN).is_file():
            beside = sorted(record.parent.name for record in self.path.parent.glob(f"*/{RUN}"))
            raise DataError(
                self.path,
                expected="a run",
                found=f"none; those here: {', '.join(beside) or 'none'}",
                remedy="Name another, or start one with scnas search or scnas train",
            )
        return read_document(self.path / RUN, RunRecord, made_by="scnas search or scnas train")

    def plan(self) -> Plan:
        """Read the plan the run was started with."""
        return load_plan(self.path / PLAN)

    def network_plan(self) -> Plan:
        """Return the plan of the run's network: with the genotype's own patch size, where it has one."""
        return self.plan().with_patch_size(own_patch_size(self.genotype().architecture))

    def genotype(self) -> Genotype:
        """Read the genotype that was found or trained."""
        return load_genotype(self.path / GENOTYPE)

    def evaluation(self) -> Evaluation | None:
        """Read the evaluation, where there is one."""
        path = self.path / EVALUATION
        return load_evaluation(path) if path.is_file() else None


def load_evaluation(path: Path) -> Evaluation:
    """Read an evaluation.json.

    Raises:
        FormatError: If the file is missing or is no evaluation of this version.
    """
    return read_document(path, Evaluation, made_by="scnas evaluate")


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write evaluation.json and evaluation.csv into a folder."""
    write_text(folder / EVALUATION, to_json(evaluation))
    write_text(folder / "evaluation.csv", evaluation.to_csv())


def dump_config(config: Any) -> dict[str, Any]:
    """A settings dataclass as JSON values."""
    values: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    assert values.keys() == asdict(config).keys()
    return values


def load_config(kind: type[Config], record: RunRecord) -> Config:
    """Settings back from a record.

    Raises:
        FormatError: If they are not this version's.
    """
    try:
        return TypeAdapter(kind).validate_python(record.config)
    except ValidationError as error:
        raise FormatError(
            RUN,
            expected=f"settings of this version ({kind.__name__})",
            found=error.errors()[0]["msg"],
            remedy="Continue with the version of scnas-deploy that started the run",
        ) from error
