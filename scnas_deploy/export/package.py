"""Writing a model package, only after its artefacts have passed the parity gate."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.torch import save
from torch import nn

from scnas_deploy.data.plan import Plan
from scnas_deploy.documents import Frozen, to_json
from scnas_deploy.export.canary import make_canary
from scnas_deploy.export.half import to_half
from scnas_deploy.export.int8 import to_int8
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.export.parity import RealPatches
from scnas_deploy.export.proof import check_provable, prove
from scnas_deploy.files import atomic_path, sha256_of
from scnas_deploy.inference.manifest import Manifest, MeasuredDice, Precision, TrainingRecord
from scnas_deploy.inference.package import CANARY, GENOTYPE, MANIFEST, MODELS, PLAN, WEIGHTS, Canary
from scnas_deploy.networks.genotype import Genotype, whole_multiple
from scnas_deploy.networks.weights import weights_of
from scnas_deploy.types import PatchesBCXYZ

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""The same network gives the same package, byte for byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the manifest says beyond what export finds out itself."""

    name: str
    measured_dice: MeasuredDice | None
    training: TrainingRecord


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ExportOptions:
    """What a package holds beside the network in float32."""

    half: bool = False
    """The network in half precision."""
    calibration: Sequence[PatchesBCXYZ] = ()
    """Real patches of training cases; where there are any, also the network in eight bits, calibrated on them."""
    weights: bool = True
    """PyTorch's weights beside the ONNX file, which holds the same numbers."""

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What is exported, float32 first."""
        wanted: dict[Precision, bool] = {"float32": True, "float16": self.half, "int8": len(self.calibration) > 0}
        return tuple(precision for precision, asked in wanted.items() if asked)


DEFAULTS: Final = ExportOptions()


def export_package(
    network: nn.Module,
    genotype: Genotype,
    plan: Plan,
    patches: Sequence[RealPatches],
    description: Description,
    target: Path,
    options: ExportOptions = DEFAULTS,
) -> Manifest:
    """Export a network, prove it in every precision and write its package.

    Args:
        network: The trained network, on the CPU.
        genotype: At the network's width.
        plan: The dataset's plan.
        patches: Real preprocessed patches of held-out cases for the parity gate; with their true labels for eight bits.
        description: Name, Dice and training figures.
        target: The package to write, whole or not at all.
        options: What the package holds beside the network in float32.

    Raises:
        ExportError: If the network cannot be exported, or (ParityError) the export computes something else.
        EngineError: If an engine cannot load the export, or answers the canary wrongly.
        MissingExtraError: If no engine is installed that could prove the export.
    """
    check_provable(options.precisions)
    network = network.cpu().eval()
    canary = make_canary(network, len(plan.channels), plan.num_classes, plan.patch_size)
    models = _models(network, genotype, plan, options)
    artefacts = prove(network, models, canary, patches)
    members = {PLAN: to_json(plan).encode(), GENOTYPE: to_json(genotype).encode()}
    members |= {MODELS[precision]: model for precision, model in models.items()}
    if options.weights:
        members[WEIGHTS] = save({name: tensor.contiguous() for name, tensor in weights_of(network).items()})
    members[CANARY] = _canary_bytes(canary)
    manifest = Manifest(
        name=description.name,
        written_by=f"scnas-deploy {version('scnas-deploy')}",
        dataset_fingerprint=plan.dataset_fingerprint,
        structure_hash=genotype.architecture.structure_hash,
        patch_size=plan.patch_size,
        artefacts=artefacts,
        measured_dice=description.measured_dice,
        training=description.training,
        digests={name: sha256_of(data) for name, data in members.items()},
    )
    write_package(target, manifest, members)
    return manifest


def write_package(target: Path, manifest: Frozen, members: dict[str, bytes]) -> None:
    """Write the zip file: manifest first, the rest in the given order, nothing compressed twice."""
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in {MANIFEST: to_json(manifest).encode(), **members}.items():
            info = zipfile.ZipInfo(name, date_time=_FIXED_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def _models(network: nn.Module, genotype: Genotype, plan: Plan, options: ExportOptions) -> dict[Precision, bytes]:
    model = export_onnx(network, len(plan.channels), plan.patch_size, whole_multiple(genotype.architecture))
    models: dict[Precision, bytes] = {"float32": model}
    if options.half:
        models["float16"] = to_half(model)
    if options.calibration:
        models["int8"] = to_int8(model, options.calibration)
    return models


def _canary_bytes(canary: Canary) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, patches=canary.patches_BCXYZ, logits=canary.logits_BKXYZ, classes=canary.classes_XYZ)
    return buffer.getvalue()
