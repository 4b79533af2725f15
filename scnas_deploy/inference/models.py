"""The folder of installed models: one package a file, and which is the default."""

import os
import shutil
from pathlib import Path

from platformdirs import user_data_path

from scnas_deploy.errors import ConfigError, OutputError
from scnas_deploy.files import atomic_path, write_text
from scnas_deploy.inference.package import SUFFIX

_DEFAULT = "default"


def user_models() -> "ModelFolder":
    """The folder of installed models: $SCNAS_MODELS, or the user's data folder."""
    chosen = os.environ.get("SCNAS_MODELS")
    return ModelFolder(Path(chosen) if chosen else user_data_path("scnas") / "models")


class ModelFolder:
    """Installed model packages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return the installed models' names, sorted."""
        return sorted(file.name.removesuffix(SUFFIX) for file in self.path.glob(f"*{SUFFIX}") if file.is_file())

    def default(self) -> str | None:
        """Return the default model: the one that was chosen, or the only one there is."""
        names = self.names()
        chosen = self.path / _DEFAULT
        if chosen.is_file():
            name = chosen.read_text(encoding="utf-8").strip()
            return name if name in names else None
        return names[0] if len(names) == 1 else None

    def set_default(self, name: str) -> None:
        """Make an installed model the default.

        Raises:
            ConfigError: If it is not installed.
        """
        self._require(name)
        write_text(self.path / _DEFAULT, f"{name}\n")

    def install(self, package: Path, name: str) -> Path:
        """Copy a package into the folder under a name; an older one of that name is replaced whole."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                self.path,
                expected="a model folder",
                found=str(error.strerror),
                remedy="Set SCNAS_MODELS to another one",
            ) from error
        target = self.path / f"{name}{SUFFIX}"
        with atomic_path(target) as temporary:
            shutil.copyfile(package, temporary)
        return target

    def resolve(self, model: str | None) -> Path:
        """Return the package of a name, of a path, or of the default.

        Raises:
            ConfigError: If the name is not installed, or nothing was named and there is no default.
        """
        if model is not None:
            path = Path(model)
            return path if path.is_file() or path.suffix == SUFFIX else self._require(model)
        default = self.default()
        if default is None:
            names = self.names()
            raise ConfigError(
                "--model",
                expected="a model, or a default one",
                found=f"{len(names)} installed ({', '.join(names)}) and no default" if names else "none installed",
                remedy="Name one with -m, or choose with `scnas models default NAME`"
                if names
                else "Make one with scnas export",
            )
        return self.path / f"{default}{SUFFIX}"

    def _require(self, name: str) -> Path:
        if name not in self.names():
            raise ConfigError(
                "--model",
                expected=f"an installed model ({', '.join(self.names()) or 'none is'}) or a package file",
                found=repr(name),
                remedy="See `scnas models`",
            )
        return self.path / f"{name}{SUFFIX}"
