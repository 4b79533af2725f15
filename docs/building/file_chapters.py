"""The formats that have a page of their own, and what is said of each beside its fields."""

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from scnas_deploy.data.plan import Plan
from scnas_deploy.inference.manifest import Manifest
from scnas_deploy.networks.costs import Costs
from scnas_deploy.networks.genotype import Genotype
from scnas_deploy.project import Project
from scnas_deploy.serve.settings import ServeSettings
from scnas_deploy.training.cross_validation import CrossValidation
from scnas_deploy.training.evaluation import Evaluation
from scnas_deploy.training.gap import Gap
from scnas_deploy.training.ledger import Ledger
from scnas_deploy.training.runs import RunRecord

Kind = type[BaseModel]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """A page: a format, or several that lie together."""

    title: str
    about: str
    kinds: dict[str, Kind]
    """Heading -> the root of a document."""


_RUN_FOLDERS: Final = """`scnas search` and `scnas train` leave a folder `runs/NAME` each.

| File | What it holds |
| --- | --- |
| `run.json` | Settings the run was started with, all resolved |
| `plan.json`, `genotype.json` | Copies of what it works on; a search writes its `genotype.json` at the end |
| `checkpoint.safetensors` | What `--resume` goes on from |
| `metrics.jsonl` | A line of figures an epoch; the same for TensorBoard in `events/` |
| `weights.safetensors` | The trained network |
| `ledger.json` | Time, memory and energy, a record a sitting |
| `gap.json` | Dice of supernet, derived and retrained network on the same patches |
| `evaluation.json`, `evaluation.csv`, `evaluation.html`, `cases/` | By `scnas evaluate` |
"""
_PACKAGE: Final = """A model package (`.scnas`) is one zip file with a flat list of members. It holds no code and no
pickle.

| Member | What it holds |
| --- | --- |
| `manifest.json` | What the model is, for what, by what, and how it was proven; digests of all other members |
| `plan.json` | How studies are prepared, what labels mean: see [plan.json](plan-json.md) |
| `genotype.json` | The architecture: see [genotype.json](genotype-json.md) |
| `model.onnx` | The network in float32; `model.fp16.onnx` and `model.int8.onnx` where they were exported |
| `canary.npz` | A synthetic patch and the network's answer, which every engine must give before it is used |
| `weights.safetensors` | The same numbers for PyTorch; left out by `scnas export --no-weights` |
| `signature.json` | By `scnas sign`; the only member that no digest covers, since it signs the manifest |
"""
_SERVE: Final = """Read by `scnas serve` and `scnas jobs --settings`. [Run the server](../serving.md) explains the
settings in sentences and with examples; this page is made from the code.
"""

CHAPTERS: Final = {
    "scnas-toml": Chapter(
        title="scnas.toml",
        about="The settings of a working folder. `scnas init` writes it, it is yours to edit, every command reads it.",
        kinds={"The file": Project},
    ),
    "plan-json": Chapter(
        title="plan.json",
        about="How the studies of one task are prepared and what their labels mean. Written by `scnas init`, carried"
        " unchanged by runs and packages.",
        kinds={"The file": Plan},
    ),
    "genotype-json": Chapter(
        title="genotype.json",
        about="What a search finds and every network is built from. `scnas search`, `scnas baseline` and"
        " `scnas transfer` write it.",
        kinds={"The file": Genotype},
    ),
    "costs-json": Chapter(
        title="costs.json",
        about="What each part of a network takes on one engine. Written by `scnas bench --ops` for `--budget-ms`.",
        kinds={"The file": Costs},
    ),
    "run-folders": Chapter(
        title="Run folders", about=_RUN_FOLDERS, kinds={"run.json": RunRecord, "ledger.json": Ledger, "gap.json": Gap}
    ),
    "evaluation-json": Chapter(
        title="evaluation.json",
        about="Scores of held-out cases on their own grids. Written by `scnas evaluate`.",
        kinds={"The file": Evaluation},
    ),
    "cross-validation-json": Chapter(
        title="cross-validation.json",
        about="The evaluations of several folds. Written by `scnas cross-validate` into `runs/cross-validation`.",
        kinds={"The file": CrossValidation},
    ),
    "model-package": Chapter(title="Model package", about=_PACKAGE, kinds={"manifest.json": Manifest}),
    "serve-toml": Chapter(title="serve.toml", about=_SERVE, kinds={"The file": ServeSettings}),
}
