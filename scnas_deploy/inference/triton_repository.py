"""A model repository for NVIDIA Triton, written from a package alone: no PyTorch, no server, no protobuf.

    DIR/<model>/config.pbtxt       how it is served, and which network each version holds
    DIR/<model>/1/model.onnx       or model.plan
    DIR/<model>/1/scnas.json       what it is

Another network under the same name becomes the next version, which a server takes up while the one before goes on.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scnas_deploy.documents import read_document, to_json
from scnas_deploy.errors import ConfigError
from scnas_deploy.files import atomic_path, make_folder, sha256_of, write_text
from scnas_deploy.inference.manifest import NAME_PATTERN, Precision
from scnas_deploy.inference.package import ModelPackage
from scnas_deploy.inference.triton_config import MODEL_FILES, ServedVersion, Serving, config_text, with_versions
from scnas_deploy.networks.genotype import whole_multiple

CONFIG, RECORD = "config.pbtxt", "scnas.json"
DEFAULTS: Final = Serving()

_MADE_BY = "scnas export --triton"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenModel:
    """A model in a repository."""

    name: str
    version: int
    added: bool
    """False where the repository's newest version held this network already, and nothing was written."""


def write_repository(
    folder: Path, package: ModelPackage, serving: Serving = DEFAULTS, *, plan: bytes | None = None
) -> WrittenModel:
    """Put a package's network into a model repository.

    Args:
        folder: The repository; made where there is none.
        package: Holds the network.
        serving: How it is served. Only a new model takes all of it: one that is there keeps its settings.
        plan: The network as a TensorRT plan, built from the package's ONNX file of ``serving.precision``; None serves
            the ONNX file.

    Returns:
        Its name and version.

    Raises:
        ConfigError: If the package lacks the precision, Triton cannot take the name, or a model of that name takes
            other patches or was not written by this function.
        OutputError: If the folder cannot be written.
    """
    name = package.manifest.name if serving.name is None else serving.name
    _check_name(name)
    onnx = _network_of(package, serving.precision)
    data = onnx if plan is None else plan
    network = _served_version(package, serving.precision, onnx, data)
    model = folder / name
    earlier = _versions(model)
    newest = max(earlier, default=0)
    if newest and earlier[newest].file_digest == network.file_digest:
        return WrittenModel(name=name, version=newest, added=False)
    if newest:
        _add_version(model, earlier | {newest + 1: network}, data)
    else:
        make_folder(folder)
        with atomic_path(model, staging=_staging(folder)) as temporary:
            _write_version(temporary / "1", network, data)
            write_text(temporary / CONFIG, config_text(name, serving, {1: network}))
    return WrittenModel(name=name, version=newest + 1, added=True)


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(
            "--as",
            expected="a model name of letters, digits and . _ -",
            found=repr(name),
            remedy="Choose one that can be a folder's",
        )


def _network_of(package: ModelPackage, precision: Precision) -> bytes:
    onnx = package.models.get(precision)
    if onnx is None:
        raise ConfigError(
            "--precision",
            expected=f"one of the package's, {', '.join(package.models)}",
            found=repr(precision),
            remedy="Choose another, or export the package with it",
        )
    return onnx


def _served_version(package: ModelPackage, precision: Precision, onnx: bytes, data: bytes) -> ServedVersion:
    return ServedVersion(
        model_name=package.manifest.name,
        model_digest=package.digest,
        onnx_digest=sha256_of(onnx),
        file_digest=sha256_of(data),
        precision=precision,
        platform="onnxruntime_onnx" if data is onnx else "tensorrt_plan",
        in_channels=len(package.plan.channels),
        num_classes=package.plan.num_classes,
        patch_size=package.plan.patch_size,
        whole=whole_multiple(package.genotype.architecture) is not None,
    )


def _versions(model: Path) -> dict[int, ServedVersion]:
    """What a model's folder holds, by version; nothing where there is no such folder."""
    if not model.exists():
        return {}
    folders = [path for path in model.iterdir() if path.name.isdecimal()]
    versions = {
        int(path.name): read_document(path / RECORD, ServedVersion, made_by=_MADE_BY)
        for path in folders
        if (path / RECORD).exists()
    }
    if not versions or len(versions) < len(folders):
        raise _foreign(model)
    return versions


def _add_version(model: Path, versions: dict[int, ServedVersion], data: bytes) -> None:
    """Add the newest version; the configuration names it first, so that no server ever takes it for an unknown one."""
    *_, before, added = sorted(versions)
    _check_same_shape(model, versions[before], versions[added])
    text = with_versions((model / CONFIG).read_text(encoding="utf-8"), versions)
    if text is None:
        raise _foreign(model)
    write_text(model / CONFIG, text)
    with atomic_path(model / str(added)) as temporary:
        _write_version(temporary, versions[added], data)


def _write_version(version: Path, network: ServedVersion, data: bytes) -> None:
    make_folder(version)
    with atomic_path(version / MODEL_FILES[network.platform]) as temporary:
        temporary.write_bytes(data)
    write_text(version / RECORD, to_json(network))


def _check_same_shape(model: Path, before: ServedVersion, added: ServedVersion) -> None:
    """All versions share one configuration."""
    for field in ("platform", "in_channels", "num_classes", "patch_size", "whole"):
        there, new = getattr(before, field), getattr(added, field)
        if there != new:
            raise ConfigError(
                model,
                expected=f"a network like the version that is there, {field} {there}",
                found=str(new),
                remedy="Choose another name with --as",
            )


def _foreign(model: Path) -> ConfigError:
    return ConfigError(
        model,
        expected="no model of that name, or one that scnas export has written",
        found=f"another model, or a {CONFIG} whose last part was edited",
        remedy="Choose another name with --as, or another folder",
    )


def _staging(folder: Path) -> Path:
    """Where a new model is put together: beside the repository, since a server takes any folder in it for a model.

    It is put together in the repository itself where that is a disk of its own, or lies where nothing can be written.
    """
    beside = folder.resolve().parent
    usable = beside.stat().st_dev == folder.stat().st_dev and os.access(beside, os.W_OK | os.X_OK)
    return beside if usable else folder
