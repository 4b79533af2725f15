"""What every engine of this machine makes of a model, for `scnas bench`.

Each engine has a process of its own; they take turns, the machine's matrix product among them, so that whatever
changes the machine's speed meets all of them.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import median

from scnas_deploy.data.preprocess import check_channels
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import EngineError, MissingExtraError, ScnasError
from scnas_deploy.inference.bench_process import EngineProcess
from scnas_deploy.inference.bench_worker import EngineTask, Opened, Turn
from scnas_deploy.inference.engines.select import installed_engines, usable_precisions
from scnas_deploy.inference.manifest import ParityRecord
from scnas_deploy.inference.matrix_product import matrix_product_gmacs
from scnas_deploy.inference.model import NOBODY
from scnas_deploy.inference.package import ModelPackage
from scnas_deploy.inference.trust import Trust
from scnas_deploy.machine import num_cores, processor_name
from scnas_deploy.types import Shape3, Spacing

Progress = Callable[[int, int, str], None]
"""Called with turns taken, turns in all, and the latest figure in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchOptions:
    """What is measured, and how."""

    engines: tuple[str, ...] = ()
    """Names that `--engine` takes; empty: all that are installed and whose hardware is there."""
    num_threads: int | None = None
    """Threads of engines and matrix product; None: the engine's choice, and every core."""
    repeats: int = 5
    """Turns of each engine, of which the median counts."""
    trust: Trust = NOBODY
    """Whose signatures count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFigures:
    """What one engine takes in one precision, medians over its turns."""

    engine: str
    """Name and version; where it could not be opened, the name that was asked for."""
    precision: str
    device: str | None = None
    batch_size: int | None = None
    """Patches of a call."""
    patches_per_second: float | None = None
    gmacs_per_second: float | None = None
    """10^9 multiply-accumulates of the model's convolutions a second; None where the package does not state them."""
    share_of_peak: float | None = None
    """Of the matrix product's rate in the same round; None on other devices than the CPU."""
    study_seconds: float | None = None
    """From the loaded study to labels on its own grid."""
    peak_bytes: int | None = None
    """Resident memory of engine, model and segmenting, at its highest; None where not readable."""
    cpu_joules: float | None = None
    """The machine's processors and memory during a study; None where not readable."""
    gpu_joules: float | None = None
    """The machine's GPUs during a study; None where not readable."""
    said_bytes: int | None = None
    """What the forecast says that the study takes beside the model."""
    taken_bytes: int | None = None
    """What the study took at its most, counted as the forecast does; None where not readable."""
    label_agreement: float | None = None
    """Part of the voxels labelled as by PyTorch, as the package's proof says; None for an engine that it does not name,
    as in each figure of the proof."""
    dice_loss: float | None = None
    """PyTorch's Dice on the proof's patches less the engine's, of the structure that loses most."""
    error: str | None = None
    """Why it was not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A model on this machine."""

    model: str
    model_digest: str
    patch_size: Shape3
    gmacs_per_patch: float | None
    study_shape: Shape3
    study_spacing_mm: Spacing
    processor: str
    num_threads: int
    """Of the matrix product."""
    peak_gmacs_per_second: float
    """Of a large float32 matrix product, median over the rounds."""
    engines: tuple[EngineFigures, ...]


class _Measurement:
    """One engine's process and what it has answered so far."""

    def __init__(self, task: EngineTask, stack: ExitStack) -> None:
        self.task = task
        self.turns: list[Turn] = []
        self.opened: Opened | None = None
        self.error: ScnasError | None = None
        self._process = stack.enter_context(closing(EngineProcess(task)))
        self._try(self._open)

    def take_turn(self) -> str:
        """Measure once more, unless the engine has failed; returns the figure in words."""
        self._try(lambda: self.turns.append(self._process.take_turn()))
        state = f"{self.turns[-1].patches_per_second:.2f} patches/s" if self.error is None else "failed"
        return f"{self.task.engine} {state}"

    def _open(self) -> None:
        self.opened = self._process.opened()

    def _try(self, step: Callable[[], None]) -> None:
        """A failing engine is a row of the result, not its end."""
        if self.error is None:
            try:
                step()
            except ScnasError as error:
                self.error = error

    def figures(self, package: ModelPackage, peaks: Sequence[float]) -> EngineFigures:
        """Summarise the turns; ``peaks`` are the matrix product's rates in the same rounds."""
        gmacs_per_patch = package.genotype.gmacs
        if self.opened is None or self.error is not None:
            name = self.task.engine if self.opened is None else self.opened.engine
            return EngineFigures(engine=name, precision=self.task.precision, error=str(self.error))
        rate = median(turn.patches_per_second for turn in self.turns)
        relative = median(turn.patches_per_second / peak for turn, peak in zip(self.turns, peaks, strict=True))
        on_cpu = self.opened.device == "CPU"
        memory, proof = self.turns[-1].study_memory, _proof(package, self.opened)
        return EngineFigures(
            engine=self.opened.engine,
            precision=self.opened.precision,
            device=self.opened.device,
            batch_size=self.opened.batch_size,
            patches_per_second=rate,
            gmacs_per_second=None if gmacs_per_patch is None else gmacs_per_patch * rate,
            share_of_peak=gmacs_per_patch * relative if gmacs_per_patch is not None and on_cpu else None,
            study_seconds=median(turn.study_seconds for turn in self.turns),
            peak_bytes=self.turns[-1].peak_bytes,
            cpu_joules=_median_of_known([turn.cpu_joules for turn in self.turns]),
            gpu_joules=_median_of_known([turn.gpu_joules for turn in self.turns]),
            said_bytes=memory.said,
            taken_bytes=memory.taken,
            label_agreement=None if proof is None else proof.label_agreement,
            dice_loss=None if proof is None else proof.dice_loss,
        )


def bench_engines(
    package: ModelPackage, study: Volume, options: BenchOptions, progress: Progress | None = None
) -> Bench:
    """Measure engines on a model.

    Args:
        package: The model; each engine's process opens it again.
        study: What is segmented. It may lie outside of the model's limits.
        options: What is measured, and how.
        progress: Called after each turn.

    Raises:
        FormatError: If the study's channels are not the model's.
        MissingExtraError: If no engine was named and none is installed.
        ScnasError: If not one engine could be measured: its error, or EngineError with that of each.
    """
    check_channels(study, package.plan)
    num_threads = options.num_threads or num_cores()
    tasks = _tasks(package, study, options)
    with ExitStack() as stack:
        measurements = [_Measurement(task, stack) for task in tasks]
        _require_one(measurements)
        peaks = _take_turns(measurements, num_threads, options.repeats, progress)
    _require_one(measurements)
    return Bench(
        model=package.manifest.name,
        model_digest=package.digest,
        patch_size=package.plan.patch_size,
        gmacs_per_patch=package.genotype.gmacs,
        study_shape=study.shape,
        study_spacing_mm=study.spacing_mm,
        processor=processor_name(),
        num_threads=num_threads,
        peak_gmacs_per_second=median(peaks),
        engines=tuple(measurement.figures(package, peaks) for measurement in measurements),
    )


def _proof(package: ModelPackage, opened: Opened) -> ParityRecord | None:
    """What the package's proof says of an engine in a precision, whichever its version."""
    engine = opened.engine.split()[0]
    records = [
        record
        for artefact in package.manifest.artefacts
        if artefact.precision == opened.precision
        for record in artefact.parity
    ]
    return next((record for record in records if record.engine.split()[0] == engine), None)


def _tasks(package: ModelPackage, study: Volume, options: BenchOptions) -> list[EngineTask]:
    """Each engine in each of the package's precisions that it runs; one that is not known finds out for itself."""
    names = options.engines or installed_engines(built=True)
    if not names:
        raise MissingExtraError("openvino", "cpu", "measuring engines")
    return [
        EngineTask(
            package=package.path,
            engine=name,
            precision=precision,
            num_threads=options.num_threads,
            study=study,
            trust=options.trust,
        )
        for name in dict.fromkeys(names)
        for precision in usable_precisions(name, package.models) or ("auto",)
    ]


def _take_turns(
    measurements: Sequence[_Measurement], num_threads: int, repeats: int, progress: Progress | None
) -> list[float]:
    """Go round; returns the matrix product's rate in each round."""
    peaks = []
    for number in range(repeats):
        peaks.append(matrix_product_gmacs(num_threads))
        for place, measurement in enumerate(measurements, 1):
            words = measurement.take_turn()
            if progress is not None:
                progress(number * len(measurements) + place, repeats * len(measurements), words)
    return peaks


def _require_one(measurements: Sequence[_Measurement]) -> None:
    """Refuse to go on without an engine that works."""
    errors = [measurement.error for measurement in measurements if measurement.error is not None]
    if len(errors) < len(measurements):
        return
    if len(errors) == 1:
        raise errors[0]
    raise EngineError(
        "scnas bench",
        expected="at least one engine that can be measured",
        found="; ".join(map(str, errors)),
        remedy="See `scnas doctor` for what is missing",
    )


def _median_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
