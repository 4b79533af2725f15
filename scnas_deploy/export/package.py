"""Writing a model package, only after its artefacts have passed the parity gate."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
from safetensors.torch import save
from torch import nn

from scnas_deploy.data.plan import Plan
from scnas_deploy.documents import Frozen, to_json
from scnas_deploy.errors import MissingExtraError
from scnas_deploy.export.canary import make_canary
from scnas_deploy.export.onnx import export_onnx
from scnas_deploy.export.parity import ParityLimits, compare, require_parity
from scnas_deploy.files import atomic_path, sha256_of
from scnas_deploy.inference.canary import check_canary
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.inference.engines.select import installed_engines, open_engine
from scnas_deploy.inference.manifest import Artefact, Manifest, MeasuredDice, ParityRecord, TrainingRecord
from scnas_deploy.inference.package import CANARY, GENOTYPE, MANIFEST, MODEL, PLAN, WEIGHTS, Canary
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


def export_package(
    network: nn.Module,
    genotype: Genotype,
    plan: Plan,
    patches: Sequence[PatchesBCXYZ],
    description: Description,
    target: Path,
    *,
    with_weights: bool = True,
) -> Manifest:
    """Export a network, prove it and write its package.

    Args:
        network: The trained network, on the CPU.
        genotype: At the network's width.
        plan: The dataset's plan.
        patches: Real preprocessed patches for the parity gate.
        description: Name, Dice and training figures.
        target: The package to write, whole or not at all.
        with_weights: Keep PyTorch's weights beside the ONNX file, which holds the same numbers.

    Raises:
        ExportError: If the network cannot be exported, or (ParityError) the export computes something else.
        MissingExtraError: If no engine is installed that could prove the export.
    """
    if not installed_engines():
        raise MissingExtraError("openvino", "cpu", "the export's parity gate")
    network = network.cpu().eval()
    canary = make_canary(network, len(plan.channels), plan.num_classes, plan.patch_size)
    model = export_onnx(network, len(plan.channels), plan.patch_size, whole_multiple(genotype.architecture))
    parity = _prove(network, model, canary, patches)
    members = {
        PLAN: to_json(plan).encode(),
        GENOTYPE: to_json(genotype).encode(),
        MODEL: model,
    }
    if with_weights:
        members[WEIGHTS] = save({name: tensor.contiguous() for name, tensor in weights_of(network).items()})
    members[CANARY] = _canary_bytes(canary)
    manifest = Manifest(
        name=description.name,
        written_by=f"scnas-deploy {version('scnas-deploy')}",
        dataset_fingerprint=plan.dataset_fingerprint,
        structure_hash=genotype.architecture.structure_hash,
        patch_size=plan.patch_size,
        artefacts=(Artefact(file=MODEL, parity=parity),),
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


def _prove(
    network: nn.Module, model: bytes, canary: Canary, patches: Sequence[PatchesBCXYZ]
) -> tuple[ParityRecord, ...]:
    reference = TorchEngine(network)
    records = []
    for name in installed_engines():
        engine = open_engine({"float32": model}, name).engine
        record = compare(reference, engine, patches)
        require_parity(record, ParityLimits())
        check_canary(engine, canary)
        records.append(record)
    return tuple(records)


def _canary_bytes(canary: Canary) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, patches=canary.patches_BCXYZ, logits=canary.logits_BKXYZ, classes=canary.classes_XYZ)
    return buffer.getvalue()
