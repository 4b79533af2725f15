"""A model ready to segment: a verified package, an engine that has answered its canary, and a predictor."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scnas_deploy.data.limits import violations
from scnas_deploy.data.preprocess import check_channels
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import EngineError, FingerprintError
from scnas_deploy.inference.batching import best_batch
from scnas_deploy.inference.canary import check_batches, check_canary
from scnas_deploy.inference.engines.base import Engine, described
from scnas_deploy.inference.engines.select import open_engine
from scnas_deploy.inference.inputs import input_range
from scnas_deploy.inference.labelling import Labelling, label_study
from scnas_deploy.inference.mirroring import MirroringEngine
from scnas_deploy.inference.package import ModelPackage, open_package
from scnas_deploy.inference.predictor import Predictor
from scnas_deploy.inference.segmentation import MemoryUse, Segmentation
from scnas_deploy.inference.trust import Trust, Verdict
from scnas_deploy.networks.genotype import whole_multiple


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentOptions(Labelling):
    """How a study is segmented."""

    force: bool = False
    """Segment it even where it lies outside of what the model was made for."""
    mirror: bool = False
    """Average over the mirror images along the plan's mirror axes."""


DEFAULTS: Final = SegmentOptions()
NOBODY: Final = Trust()


@dataclass(frozen=True, slots=True)
class Model:
    """A package and a proven engine."""

    package: ModelPackage
    engine: Engine
    engine_reason: str
    """Why this engine was taken."""
    verdict: Verdict
    """By whom the package is signed."""

    predictor: Predictor
    """Runs the engine over whole volumes; its threads serve one study after another."""

    def segment(self, volume: Volume, options: SegmentOptions = DEFAULTS) -> Segmentation:
        """Segment a study.

        Args:
            volume: The study.
            options: How.

        Returns:
            Labels on the study's own grid.

        Raises:
            FormatError: If the channels are not the model's or a voxel is not a number.
            FingerprintError: If the study lies outside the model's limits and ``options.force`` is False.
            CapacityError: If the study does not fit into memory; nothing has been computed then.
            EngineError: If the engine fails.
            OutputError: If the probabilities cannot be written.
        """
        plan = self.package.plan
        check_channels(volume, plan)
        outside = violations(volume, plan)
        if outside and not options.force:
            raise FingerprintError(
                "study",
                expected=f"input like the training cases of model '{self.package.manifest.name}'",
                found="; ".join(outside),
                remedy="Choose a model made for such studies, or override with --force and check the result",
            )
        predictor = self.predictor
        if options.mirror:
            predictor = predictor.on(MirroringEngine(self.engine, plan.mirror_axes))
        labelled = label_study(volume, plan, predictor, options, believe_empty=self._require_well)
        return Segmentation(
            labels_XYZ=labelled.labels_XYZ,
            study=volume,
            labels=plan.labels,
            model_name=self.package.manifest.name,
            model_digest=self.package.digest,
            engine=described(predictor.engine),
            precision=self.engine.precision,
            outside_limits=outside,
            memory=MemoryUse(labelled.forecast.peak, labelled.taken_bytes),
        )

    def _require_well(self) -> None:
        """A study may hold none of the structures, but is said to only by an engine that still answers its canary."""
        try:
            check_canary(self.engine, self.package.canary, self.package.artefact(self.engine.precision).canary)
        except EngineError as error:
            raise EngineError(
                self.engine.name,
                expected="that an engine which has found no structure still answers the package's canary",
                found=error.found,
                remedy="It has failed since it was opened: start it again, or try another with --engine",
            ) from error


def load_model(
    path: Path,
    *,
    engine: str = "auto",
    precision: str = "auto",
    num_threads: int | None = None,
    trust: Trust = NOBODY,
) -> Model:
    """Open a package, judge its signature, choose an engine and have it answer the canary.

    Raises:
        PackageError: If the package must not be trusted.
        ConfigError: If the engine or the package does not know the precision.
        EngineError: If the engine cannot load the network, answers the canary wrongly, or mixes up patches.
        MissingExtraError: If no engine is installed, or a signature cannot be checked.
    """
    package = open_package(path)
    verdict = trust.judge(path, package.seal)
    inputs = input_range(package.plan, package.genotype.architecture)
    opened = open_engine(
        package.models,
        engine,
        precision=precision,
        num_threads=num_threads,
        inputs=inputs,
        prove=lambda opened: _prove(opened, package),
    )
    whole = whole_multiple(package.genotype.architecture)
    predictor = Predictor(opened.engine, package.plan, whole_multiple=whole, batch=opened.batch)
    return Model(package, opened.engine, opened.reason, verdict, predictor)


def _prove(engine: Engine, package: ModelPackage) -> int:
    """Have an engine answer the canary, alone and beside other patches; returns its best batch."""
    check_canary(engine, package.canary, package.artefact(engine.precision).canary)
    batch = best_batch(engine, package.canary.patches_BCXYZ)
    check_batches(engine, package.canary, batch)
    return batch
