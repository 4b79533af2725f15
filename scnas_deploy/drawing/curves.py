"""How a search or a training went, epoch by epoch, from its metrics.jsonl."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scnas_deploy.drawing.cells import COLORS, NAMES
from scnas_deploy.errors import FormatError
from scnas_deploy.extras import require
from scnas_deploy.networks.genotype import CellType, Operation
from scnas_deploy.training.metrics_log import read_metrics

Record = dict[str, Any]


def draw_curves(run: Path) -> str:
    """Draw a run's losses and learning rate and, of a search, how it decided over time.

    SCNAS shows temperature, entropy and operations, RONASMIS the rewards and the controller's entropy.

    Returns:
        An SVG picture.

    Raises:
        FormatError: If the folder holds no metrics.
        MissingExtraError: If matplotlib is not installed.
    """
    records = read_metrics(run / "metrics.jsonl")
    if not records:
        raise FormatError(
            run, expected="a run folder with metrics.jsonl", found="none", remedy="Name a folder in runs/"
        )
    figure_module: Any = require("matplotlib.figure", extra="train", purpose="drawing curves")
    panels: list[Callable[[Any, Sequence[Record]], None]] = [_losses, _rate]
    if any("probability" in record for record in records):
        panels += [_decision, *(_operations_of(cell_type) for cell_type in CellType)]
    if "mean_reward" in records[0]:
        panels += [_rewards, _controller]
    rows = (len(panels) + 1) // 2
    figure = figure_module.Figure(figsize=(10, 3.2 * rows), layout="constrained")
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, 2, place)
        panel(axes, records)
        axes.set_xlabel("episode" if "mean_reward" in records[0] else "epoch")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def _losses(axes: Any, records: Sequence[Record]) -> None:
    names = {"loss": "training", "architecture_loss": "architecture part", "validation_loss": "held out"}
    for name, label in names.items():
        if any(name in record for record in records):
            _plot(axes, records, name, label)
    axes.set_title("Dice loss of the children" if "mean_reward" in records[0] else "Jaccard distance")
    axes.legend()


def _rate(axes: Any, records: Sequence[Record]) -> None:
    _plot(axes, records, "learning_rate", None)
    axes.set_yscale("log")
    axes.set_title("learning rate of the weights")


def _decision(axes: Any, records: Sequence[Record]) -> None:
    _plot(axes, records, "alpha_entropy", "entropy of alpha, nats")
    _plot(axes, records, "tau", "temperature")
    _plot(axes, records, "edges_without_alpha_gradient", "edges without gradient")
    axes.set_yscale("log")
    axes.set_title("how decided the search is")
    axes.legend()


def _rewards(axes: Any, records: Sequence[Record]) -> None:
    for name, label in {"best_reward": "best child", "mean_reward": "mean", "baseline": "baseline"}.items():
        _plot(axes, records, name, label)
    axes.set_title("Dice of the children on the reward's cases")
    axes.legend()


def _controller(axes: Any, records: Sequence[Record]) -> None:
    _plot(axes, records, "controller_entropy", None)
    axes.set_ylim(bottom=0)
    axes.set_title("entropy of the controller's decisions, nats")


def _operations_of(cell_type: CellType) -> Callable[[Any, Sequence[Record]], None]:
    def panel(axes: Any, records: Sequence[Record]) -> None:
        decided = [record for record in records if "probability" in record]
        present = [operation for operation in Operation if operation in decided[0]["probability"][cell_type]]
        shares = [[record["probability"][cell_type][operation] for record in decided] for operation in present]
        colors = [COLORS.get(operation, "#eeeeee") for operation in present]
        labels = [NAMES.get(operation, "zero") for operation in present]
        axes.stackplot([record["epoch"] for record in decided], shares, colors=colors, labels=labels)
        axes.set_ylim(0, 1)
        axes.margins(x=0)
        axes.set_title(f"softmax of alpha, {cell_type} cell, mean of its edges")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small", reverse=True)

    return panel


def _plot(axes: Any, records: Sequence[Record], name: str, label: str | None) -> None:
    """A figure over the epochs that have it: a search's warm-up has none of its architecture."""
    known = [record for record in records if name in record]
    axes.plot([record["epoch"] for record in known], [record[name] for record in known], label=label)
