"""The whole chain once through: init, search, train, evaluate, export, segment.

Uses Task04_Hippocampus of the Medical Segmentation Decathlon where the environment variable SCNAS_DATA names
a folder that has it, and otherwise a phantom it draws itself. Everything it makes lies in demo/out.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.phantom import draw_dataset
from demo.picture import draw_picture

OUT = Path(__file__).parent / "out"
SCNAS = Path(sys.executable).with_name("scnas")


def main() -> None:
    """Run the chain and print what came out."""
    started = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    project = OUT / "project"
    project.mkdir(parents=True)
    dataset, search_epochs, shorter = _dataset()
    scnas("init", str(dataset), cwd=project)
    scnas("search", "--preset", "cpu", "--steps-per-epoch", "5", "--epochs", search_epochs, cwd=project)
    scnas("train", "--preset", "cpu", *shorter, cwd=project)
    scnas("evaluate", cwd=project, quiet=True)
    scnas("export", cwd=project)
    evaluation = json.loads((project / "runs" / "train" / "evaluation.json").read_text())
    case = _median_case(evaluation)
    study, truth = dataset / "imagesTr" / f"{case}.nii.gz", dataset / "labelsTr" / f"{case}.nii.gz"
    segmenting = time.monotonic()
    result = json.loads(scnas("segment", str(study), "-o", f"{case}_seg.nii.gz", "--json", cwd=project, quiet=True))
    result["wall_seconds"] = time.monotonic() - segmenting
    picture = draw_picture(
        study,
        truth,
        project / f"{case}_seg.nii.gz",
        OUT / "demo.png",
        _labels(project),
        title=f"{dataset.name}, {case}",
    )
    _print_table(project, evaluation, result)
    print(f"Picture: {picture}")
    print(f"Package: {next((project / 'runs' / 'train').glob('*.scnas'))}")
    print(f"The demo took {time.monotonic() - started:.0f} s.")


def scnas(*arguments: str, cwd: Path, quiet: bool = False) -> str:
    """Run one command as a user would; stop the demo where it fails."""
    print(f"\n$ scnas {' '.join(arguments)}", flush=True)
    environment = {**os.environ, "SCNAS_MODELS": str(OUT / "models")}
    result = subprocess.run(
        [str(SCNAS), *arguments], cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if not quiet or result.returncode:
        print(result.stdout, end="", flush=True)
    if result.returncode:
        sys.exit(f"The demo stops: scnas {arguments[0]} ended with status {result.returncode}.")
    return result.stdout


def _dataset() -> tuple[Path, str, list[str]]:
    """The dataset, the search's epochs, and options that shorten the training."""
    data = os.environ.get("SCNAS_DATA")
    real = Path(data).resolve() / "Task04_Hippocampus" if data else None
    if real is not None and (real / "dataset.json").is_file():
        print(f"Data: {real.name} (Medical Segmentation Decathlon, CC-BY-SA 4.0)")
        return real, "12", []
    print("Data: a phantom drawn by formula, because SCNAS_DATA names no folder with Task04_Hippocampus.")
    return draw_dataset(OUT / "Phantom", num_cases=40), "8", ["--epochs", "8"]


def _median_case(evaluation: dict[str, Any]) -> str:
    """The held-out case of median Dice: neither the best nor the worst to look at."""
    ranked = sorted(evaluation["cases"], key=lambda case: sum(value or 0 for value in case["dice"].values()))
    return str(ranked[len(ranked) // 2]["case_id"])


def _labels(project: Path) -> dict[int, tuple[str, str]]:
    plan = json.loads((project / "plan.json").read_text())
    return {label["value"]: (label["name"], label["color"]) for label in plan["labels"]}


def _print_table(project: Path, evaluation: dict[str, Any], result: dict[str, Any]) -> None:
    found = json.loads((project / "runs" / "search" / "genotype.json").read_text())
    trained = json.loads((project / "runs" / "train" / "genotype.json").read_text())
    manifest = _manifest(project)
    table = Table(title="What the demo measured", show_header=False, title_justify="left")
    provenance = found["provenance"]
    table.add_row("search cost", f"{provenance['search_seconds']:.0f} s on {provenance['device']}")
    table.add_row("network", f"{trained['gmacs']:.2f} GMAC a patch, {trained['num_parameters']:,} parameters")
    cases = evaluation["cases"]
    for name in cases[0]["dice"]:
        values = [case["dice"][name] for case in cases if case["dice"][name] is not None]
        table.add_row(f"Dice, {name}", f"{sum(values) / len(values):.4f} on {len(values)} cases never trained on")
    dices = [value for case in cases for value in case["dice"].values() if value is not None]
    table.add_row("mean foreground Dice", f"{sum(dices) / len(dices):.4f}")
    for record in manifest["artefacts"][0]["parity"]:
        agreement = f"{record['label_agreement']:.6f} of labels equal"
        table.add_row(f"parity, {record['engine']}", f"logits within {record['max_abs_error']:.1e}, {agreement}")
    table.add_row("one study, cold from the shell", f"{result['wall_seconds']:.2f} s on {result['engine']}")
    table.add_row("genotype", manifest["structure_hash"][:16])
    Console(width=100).print(table)


def _manifest(project: Path) -> dict[str, Any]:
    with zipfile.ZipFile(next((project / "runs" / "train").glob("*.scnas"))) as package:
        manifest: dict[str, Any] = json.loads(package.read("manifest.json"))
        return manifest


if __name__ == "__main__":
    main()
