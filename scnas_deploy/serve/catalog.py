"""The models that a server can run: found by name when a job is made, and kept by digest for as long as jobs need them.

The folder of installed models is looked at anew each time, so a model that is installed or taken back with
``scnas models`` serves the next study, while jobs made before go on with the model they were made for.
"""

import os
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from scnas_deploy.errors import ConfigError, PackageError, ScnasError
from scnas_deploy.files import atomic_path
from scnas_deploy.inference.models import ModelFolder
from scnas_deploy.inference.package import ModelPackage, open_package
from scnas_deploy.inference.trust import Trust
from scnas_deploy.serve.spool import Spool

_Stamp = tuple[int, int, int]
"""A file's number, bytes and nanosecond of its last change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedModel:
    """A model as a job keeps it."""

    name: str
    digest: str
    path: Path
    """Of the package in the spool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDescription:
    """What there is to know of an installed model."""

    name: str
    digest: str = ""
    is_default: bool = False
    labels: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    dice: float | None = None
    """Mean over the structures, as its card says."""
    precisions: tuple[str, ...] = ()
    parity: tuple[float, ...] = ()
    """Part of the voxels that got the same label as from PyTorch, by precision."""
    problem: str = ""
    """Why it cannot be run; names no path."""


class ModelCatalog:
    """Installed models, verified.

    Args:
        folder: Where they are installed.
        spool: Keeps a copy of each that a job was made for.
        trust: Whose signatures count.
    """

    def __init__(self, folder: ModelFolder, spool: Spool, trust: Trust) -> None:
        self._folder, self._spool, self._trust = folder, spool, trust
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[_Stamp, ModelDescription]] = {}

    def pin(self, name: str | None) -> PinnedModel:
        """Keep the model that a name stands for now.

        Args:
            name: Of an installed model, never a path; None for the default.

        Raises:
            ConfigError: If there is no such model.
            PackageError: If it must not be trusted.
            OutputError: If the spool cannot take a copy.
        """
        chosen = self._folder.default() if name is None else name
        if chosen is None:
            raise ConfigError(
                "the model",
                expected="a default model, or one by name",
                found="neither",
                remedy="Choose one with `scnas models default NAME`",
            )
        path = self._folder.named(chosen)
        digest = self._described(chosen, path).digest
        kept = self._spool.model(digest)
        if not kept.exists():
            with atomic_path(kept) as temporary:
                shutil.copyfile(path, temporary)
                _require_same(open_package(temporary), digest)  # it may have been replaced since it was looked at
        os.utime(kept)
        return PinnedModel(name=chosen, digest=digest, path=kept)

    def names(self) -> list[str]:
        """Names of the models that one may mean who names none: the default, or all where there is no default.

        Raises:
            ConfigError: If there is no model at all.
        """
        default = self._folder.default()
        names = [default] if default is not None else self._folder.names()
        if not names:
            raise ConfigError(
                "the models", expected="an installed model", found="none", remedy="See `scnas models install`"
            )
        return names

    def described(self) -> tuple[ModelDescription, ...]:
        """Return all installed models, sorted; those that cannot be run say why."""
        default = self._folder.default()
        return tuple(
            replace(self._tried(name, path), is_default=name == default)
            for name, path in sorted(self._folder.packages().items())
        )

    def _tried(self, name: str, path: Path) -> ModelDescription:
        try:
            return self._described(name, path)
        except ScnasError as error:
            return ModelDescription(name=name, problem=error.redacted)

    def _described(self, name: str, path: Path) -> ModelDescription:
        """Verify a package, unless that was done since it last changed."""
        status = path.stat()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            package = open_package(path)
            self._trust.judge(path, package.seal)
            described = _description(name, package)
            self._known[path] = (stamp, described)
            return described


def _description(name: str, package: ModelPackage) -> ModelDescription:
    manifest, plan = package.manifest, package.plan
    dice = manifest.measured_dice.by_label.values() if manifest.measured_dice else ()
    return ModelDescription(
        name=name,
        digest=package.digest,
        labels=tuple(label.name for label in plan.labels),
        channels=tuple(channel.name for channel in plan.channels),
        dice=fmean(known) if (known := [each for each in dice if each is not None]) else None,
        precisions=tuple(artefact.precision for artefact in manifest.artefacts),
        parity=tuple(min(record.label_agreement for record in each.parity) for each in manifest.artefacts),
    )


def _require_same(package: ModelPackage, digest: str) -> None:
    if package.digest != digest:
        raise PackageError(
            "the model",
            expected="the package that was just verified",
            found="another one, installed meanwhile",
            remedy="Submit the study again",
        )
