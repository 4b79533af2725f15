"""A model ready to segment: a verified package, an engine that has answered its canary, and a predictor."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scnas_deploy.data.limits import violations
from scnas_deploy.data.preprocess import check_channels, prepare
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import EngineError, FingerprintError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.engines.select import open_engine
from scnas_deploy.inference.mirroring import MirroringEngine
from scnas_deploy.inference.package import Canary, ModelPackage, open_package
from scnas_deploy.inference.predictor import Predictor, Progress
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.networks.genotype import whole_multiple

CANARY_MAX_ABS_ERROR = 1e-2
CANARY_MIN_AGREEMENT = 0.999


@dataclass(frozen=True, slots=True)
class Model:
    """A package and a proven engine."""

    package: ModelPackage
    engine: Engine
    engine_reason: str
    """Why this engine was taken."""

    def segment(
        self, volume: Volume, *, force: bool = False, mirror: bool = False, progress: Progress | None = None
    ) -> Segmentation:
        """Segment a study.

        Args:
            volume: The study.
            force: Segment it even where it lies outside of what the model was made for.
            mirror: Average over the mirror images along the plan's mirror axes.
            progress: Called with patches done and in all; may raise to stop.

        Returns:
            Labels on the study's own grid.

        Raises:
            FormatError: If the channels are not the model's or a voxel is not a number.
            FingerprintError: If the study lies outside the model's limits and ``force`` is False.
            EngineError: If the engine fails.
        """
        plan = self.package.plan
        check_channels(volume, plan)
        outside = violations(volume, plan)
        if outside and not force:
            raise FingerprintError(
                "study",
                expected=f"input like the training cases of model '{self.package.manifest.name}'",
                found="; ".join(outside),
                remedy="Choose a model made for such studies, or override with --force and check the result",
            )
        image, way_back = prepare(volume, plan)
        engine = MirroringEngine(self.engine, plan.mirror_axes) if mirror else self.engine
        whole = whole_multiple(self.package.genotype.architecture)
        labels = way_back.restore(Predictor(engine, plan, whole_multiple=whole).predict(image, progress))
        return Segmentation(
            labels_XYZ=labels,
            study=volume,
            labels=plan.labels,
            model_name=self.package.manifest.name,
            model_digest=self.package.digest,
            engine=engine.name,
            outside_limits=outside,
        )


def load_model(path: Path, *, engine: str = "auto", num_threads: int | None = None) -> Model:
    """Open a package, choose an engine and have it answer the canary.

    Raises:
        PackageError: If the package must not be trusted.
        EngineError: If the engine cannot load the network, or answers the canary wrongly.
        MissingExtraError: If no engine is installed.
    """
    package = open_package(path)
    opened = open_engine(package.model, engine, num_threads=num_threads)
    check_canary(opened.engine, package.canary)
    return Model(package, opened.engine, opened.reason)


def check_canary(engine: Engine, canary: Canary) -> None:
    """Refuse an engine that does not compute what the network computed when it was exported.

    Raises:
        EngineError: With the size of the difference.
    """
    logits = engine.run(canary.patches_BCXYZ)
    error = float(np.abs(logits - canary.logits_BKXYZ).max()) if logits.shape == canary.logits_BKXYZ.shape else np.inf
    agreement = float((logits[0].argmax(axis=0) == canary.classes_XYZ).mean()) if np.isfinite(error) else 0.0
    if not error <= CANARY_MAX_ABS_ERROR or agreement < CANARY_MIN_AGREEMENT:
        raise EngineError(
            engine.name,
            expected=f"the package's canary answer within {CANARY_MAX_ABS_ERROR}",
            found=f"a largest difference of {error:.3g} and {agreement:.2%} of the labels",
            remedy="Do not use this engine for this model; try another with --engine",
        )
