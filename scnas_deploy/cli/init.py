"""scnas init: check a dataset, print its fingerprint, write scnas.toml and plan.json."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli.console import note, progress, say, say_facts, say_json
from scnas_deploy.cli.options import JsonOption, ProjectOption

if TYPE_CHECKING:
    from scnas_deploy.data.check import DatasetReport
    from scnas_deploy.data.dataset import Dataset
    from scnas_deploy.data.fingerprint import Fingerprint
    from scnas_deploy.data.plan import Plan
    from scnas_deploy.project import Project


def init(
    dataset: Annotated[
        Path | None, typer.Argument(help="MSD- or nnU-Net-style folder; left out, the one in scnas.toml.")
    ] = None,
    project: ProjectOption = Path(),
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Exclude the cases that cannot be used.")] = False,
    json: JsonOption = False,
) -> None:
    """Check a dataset and write scnas.toml and plan.json."""
    from dataclasses import replace

    from scnas_deploy.data.check import check_dataset
    from scnas_deploy.data.dataset import read_dataset
    from scnas_deploy.data.planning import make_plan
    from scnas_deploy.project import save_project

    settings = _existing(project)
    described = read_dataset(_dataset_folder(dataset, settings))
    if settings is not None:
        kept = tuple(case for case in described.cases if case.id not in settings.exclude)
        described = replace(described, cases=kept)
    with progress("Reading cases") as report:
        checked = check_dataset(described, report)
    for finding in checked.findings:
        note(f"{'error' if finding.fatal else 'note'}: {finding.case_id}: {finding.problem}. {finding.remedy}.")
    settings = _settings(settings, described, checked, skip_bad=skip_bad)
    fingerprint = checked.fingerprint()
    plan = make_plan(described, fingerprint, settings)
    project.mkdir(parents=True, exist_ok=True)
    save_project(project, settings)
    plan.save(project / "plan.json")
    if json:
        say_json({"fingerprint": fingerprint.model_dump(), "plan": plan.model_dump(by_alias=True)})
    else:
        _print(described, fingerprint, plan, project)


def _existing(folder: Path) -> "Project | None":
    from scnas_deploy.project import PROJECT_FILE, load_project

    return load_project(folder) if (folder / PROJECT_FILE).is_file() else None


def _dataset_folder(argument: Path | None, settings: "Project | None") -> Path:
    from scnas_deploy.errors import ConfigError

    if argument is not None:
        _require_same_dataset(argument.resolve(), settings)
        return argument.resolve()
    if settings is None:
        raise ConfigError(
            "scnas init", expected="a dataset folder", found="none", remedy="Call it as: scnas init DATASET"
        )
    return settings.dataset


def _require_same_dataset(dataset: Path, settings: "Project | None") -> None:
    from scnas_deploy.errors import ConfigError

    if settings is not None and settings.dataset.resolve() != dataset:
        raise ConfigError(
            dataset,
            expected=f"the dataset of this project, {settings.dataset}",
            found="another one",
            remedy="Use another working folder, with --project, or change 'dataset' in scnas.toml",
        )


def _settings(settings: "Project | None", dataset: "Dataset", checked: "DatasetReport", *, skip_bad: bool) -> "Project":
    """The user's project file where there is one, else a new one; bad cases excluded or refused."""
    from scnas_deploy.data.planning import default_channels, default_labels
    from scnas_deploy.errors import FormatError
    from scnas_deploy.project import Project

    if settings is None:
        settings = Project(
            name=dataset.name, dataset=dataset.root, labels=default_labels(dataset), channels=default_channels(dataset)
        )
    bad = [case for case in checked.unusable if case not in settings.exclude]
    if bad and not skip_bad:
        raise FormatError(
            dataset.root,
            expected="a dataset without errors",
            found=f"{len(bad)} of {len(dataset.cases)} cases with errors, listed above",
            remedy="Repair them, or leave them out with --skip-bad",
        )
    return settings.model_copy(update={"exclude": tuple(sorted({*settings.exclude, *bad}))})


def _print(dataset: "Dataset", fingerprint: "Fingerprint", plan: "Plan", project: Path) -> None:
    low, high = fingerprint.extent_min_mm, fingerprint.extent_max_mm
    say(f"{dataset.name}: {fingerprint.num_cases} cases, {dataset.layout} layout")
    facts = {"channels": ", ".join(f"{c.name} ({c.normalisation.kind})" for c in plan.channels)}
    for label in plan.labels:
        cases = fingerprint.label_cases.get(label.value, 0)
        median = fingerprint.label_median_ml.get(label.value, 0.0)
        facts[f"label {label.value}"] = f"{label.name}, in {cases} cases, median {median:.2f} ml"
    facts["spacing"] = f"{_triple(fingerprint.spacing_median_mm)} mm (median), plan {_triple(plan.spacing_mm)} mm"
    facts["extent"] = f"{_triple(low)} to {_triple(high)} mm"
    mirrored = "".join("RAS"[axis] for axis in plan.mirror_axes)
    facts["patch"] = f"{_triple(plan.patch_size)} voxels, mirrored along {mirrored}"
    say_facts(facts, indent=2)
    say(f"Wrote {project / 'scnas.toml'} and {project / 'plan.json'}.")
    say(f"Next: scnas search{'' if project == Path() else f' --project {project}'}")


def _triple(values: tuple[float, float, float] | tuple[int, int, int]) -> str:
    return " x ".join(f"{value:g}" for value in values)
