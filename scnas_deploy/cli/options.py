"""Options that several commands share, and what they open."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scnas_deploy.data.dataset import Dataset
    from scnas_deploy.inference.models import ModelFolder
    from scnas_deploy.inference.package import ModelPackage
    from scnas_deploy.inference.trust import Trust
    from scnas_deploy.project import Project
    from scnas_deploy.training.runs import RunFolder

ProjectOption = Annotated[Path, typer.Option("--project", help="Working folder with scnas.toml.", file_okay=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]


class Space(StrEnum):
    """What is searched, and how."""

    SCNAS = "scnas"
    RONASMIS = "ronasmis"


SpaceOption = Annotated[
    Space | None,
    typer.Option("--space", help="scnas: cells, by gradient. ronasmis: a U-Net, by a controller; a step is a child."),
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", help="paper, fast, cpu, or auto (paper with a GPU, cpu without).")
]
FoldOption = Annotated[
    int | None, typer.Option("--fold", min=0, max=4, help="Which of nnU-Net's five folds is held out.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of all random numbers.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs, instead of the preset's.")]
StepsOption = Annotated[
    int | None, typer.Option("--steps-per-epoch", min=1, help="Steps an epoch, instead of the preset's.")
]
GpusOption = Annotated[
    int, typer.Option("--gpus", min=1, help="GPUs of this machine to use; without CUDA, processes on the CPU.")
]
CheckpointingOption = Annotated[
    bool, typer.Option("--checkpointing", help="Compute cells twice to save memory; the numbers stay the same.")
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help="auto, tensorrt, onnxruntime-cuda, openvino, onnxruntime, onnxruntime-tensorrt "
        "or triton://HOST:PORT/MODEL.",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="auto, float32, float16 or int8, if the package has it; auto is float32 on a CPU, half on a GPU.",
    ),
]
MirrorOption = Annotated[
    bool, typer.Option("--mirror", help="Average over mirror images: up to eight times slower, a little better.")
]
RequireSignatureOption = Annotated[
    bool, typer.Option("--require-signature", help="Refuse a model without a valid signature by a trusted key.")
]

MaxMemoryOption = Annotated[
    str | None,
    typer.Option("--max-memory", help="Most that a study may take beside the model, as 3g or 800m; else what is free."),
]

_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def bytes_of(amount: str | None, option: str = "--max-memory") -> int | None:
    """Bytes of an amount such as 3g, 800m or 1.5G; None of None."""
    import re

    from scnas_deploy.errors import ConfigError

    if amount is None:
        return None
    matched = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kmgt]?)b?", amount.strip().lower())
    if matched is None:
        raise ConfigError(option, expected="an amount such as 3g or 800m", found=repr(amount), remedy="Correct it")
    return int(float(matched[1]) * _UNITS.get(matched[2], 1))


def model_folder() -> "ModelFolder":
    """The folder of installed models: $SCNAS_MODELS, or the user's data folder."""
    from scnas_deploy.inference.models import user_models

    return user_models()


def trust(*, require_signature: bool = False) -> "Trust":
    """Trust in the keys of $SCNAS_TRUSTED_KEYS, or of the user's configuration folder."""
    from scnas_deploy.inference.trust import user_trust

    return user_trust(required=require_signature)


def open_trusted(path: Path) -> "ModelPackage":
    """Read a package, which is refused where it is falsely signed."""
    from scnas_deploy.inference.package import open_package

    package = open_package(path)
    trust().judge(path, package.seal)
    return package


def open_project(folder: Path) -> tuple["Project", "Dataset"]:
    """Read scnas.toml and its dataset, excluded cases left out."""
    from dataclasses import replace

    from scnas_deploy.data.dataset import read_dataset
    from scnas_deploy.project import load_project

    project = load_project(folder)
    dataset = read_dataset(project.dataset)
    kept = tuple(case for case in dataset.cases if case.id not in project.exclude)
    return project, replace(dataset, cases=kept)


def run_folder(project: Path, name: str) -> "RunFolder":
    """The folder of a run."""
    from scnas_deploy.errors import ConfigError
    from scnas_deploy.training.runs import RunFolder

    if Path(name).name != name or name in (".", ".."):
        raise ConfigError("--name", expected="a plain name", found=repr(name), remedy="Leave out folders")
    return RunFolder(project / "runs" / name)


def started_run(project: Path, name: str) -> "RunFolder":
    """The folder of a run that has begun."""
    run = run_folder(project, name)
    run.record()
    return run


def refuse_with_resume(**options: object) -> None:
    """A resumed run keeps the settings it was started with."""
    from scnas_deploy.errors import ConfigError

    if given := names_of_given(options):
        raise ConfigError(
            "--resume",
            expected="no settings beside it: a run goes on with those it was started with",
            found=", ".join(given),
            remedy="Leave them out, or start another run with another --name",
        )


def names_of_given(options: Mapping[str, object]) -> list[str]:
    """Those of the options that are not None, as they are written on the command line."""
    return [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]


def pick_preset(option: str | None, project: str) -> str:
    """The preset to use: the option, else the project's, 'auto' by the hardware."""
    import torch

    from scnas_deploy.errors import ConfigError
    from scnas_deploy.search.config import PRESETS

    name = option or project
    if name == "auto":
        return "paper" if torch.cuda.is_available() else "cpu"
    if name not in PRESETS:
        raise ConfigError(
            "--preset", expected=f"one of auto, {', '.join(PRESETS)}", found=repr(name), remedy="Choose one of these"
        )
    return name


def require_training() -> None:
    """Name what is missing before a command that trains gets to work."""
    from scnas_deploy.extras import check_installed

    modules = ("torch", "safetensors", "batchgeneratorsv2", "tensorboard")
    check_installed(*modules, extra="train", purpose="search, training and export")
