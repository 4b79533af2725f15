"""The page of a training: losses, learning rate, what it costs, and its Dice on held-out patches and cases."""

from dataclasses import dataclass
from typing import Final

from scnas_deploy.pages.page import render
from scnas_deploy.reports.training_charts import loss_charts, resource_charts
from scnas_deploy.reports.training_run import RunProgress, progress_of
from scnas_deploy.reports.training_words import dice, run_facts, run_scripts, run_values
from scnas_deploy.training.evaluation import Evaluation
from scnas_deploy.training.gap import GAP, Gap, load_gap
from scnas_deploy.training.runs import RunFolder

_ROOM: Final = "scnas_deploy.reports"
_EVALUATION_PAGE: Final = "evaluation.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingState:
    """A training at a moment."""

    progress: RunProgress
    architecture: str
    """Kind and width of the network."""
    gap: Gap | None
    evaluation: Evaluation | None
    has_page: bool
    """Whether the evaluation's page lies beside it."""


def training_state(run: RunFolder, now: float) -> TrainingState:
    """Read a training.

    Args:
        run: Its folder.
        now: Seconds since 1970.

    Raises:
        DataError: If the folder holds no run.
        FormatError: If a file of the run is damaged or not this version's.
    """
    architecture = run.genotype().architecture
    return TrainingState(
        progress=progress_of(run, now),
        architecture=f"{architecture.kind}, {architecture.stem_channels} channels",
        gap=load_gap(run.path) if (run.path / GAP).is_file() else None,
        evaluation=run.evaluation(),
        has_page=(run.path / _EVALUATION_PAGE).is_file(),
    )


def training_page(state: TrainingState, version: str | None = None) -> str:
    """Draw a training as one HTML file.

    Args:
        state: The training at a moment.
        version: What the page's server answers while this state holds; None for a page that stands alone.
    """
    progress, gap = state.progress, state.gap
    tracks = {"training": progress.track("loss"), "held out": progress.track("validation_loss")}
    return render(
        "training.html.j2",
        room=_ROOM,
        scripts=run_scripts(version),
        **run_values(progress, version=version),
        facts=(("Network", state.architecture), *run_facts(progress)),
        losses=loss_charts(progress, "Jaccard distance", tracks),
        resources=resource_charts(progress),
        gap_rows=[] if gap is None else _gap_rows(gap),
        dice_rows=[] if state.evaluation is None else _dice_rows(state.evaluation),
        evaluation_page=_EVALUATION_PAGE if state.has_page else None,
    )


def _gap_rows(gap: Gap) -> list[tuple[str, str]]:
    known = {"supernet": gap.supernet, "derived, with shared weights": gap.derived, "retrained": gap.retrained}
    return [(what, dice(value)) for what, value in known.items()]


def _dice_rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Mean Dice of each label, and of all."""
    return [
        *((label, dice(value)) for label, value in evaluation.mean_dice().items()),
        ("mean foreground", dice(evaluation.mean_foreground())),
    ]
