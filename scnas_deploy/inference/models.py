"""The folder of installed models: one package a file, and which is the default."""

import os
import shutil
from pathlib import Path

from platformdirs import user_data_path

from scnas_deploy.errors import ConfigError, OutputError
from scnas_deploy.files import atomic_path, write_text
from scnas_deploy.inference.package import SUFFIX

_DEFAULT = "default"
_SHIPPED = Path(__file__).parents[1] / "shipped"


def user_models() -> "ModelFolder":
    """The folder of installed models, $SCNAS_MODELS or the user's data folder, and the models that came with us."""
    chosen = os.environ.get("SCNAS_MODELS")
    return ModelFolder(Path(chosen) if chosen else user_data_path("scnas") / "models", _SHIPPED)


class ModelFolder:
    """Installed model packages.

    Args:
        path: Where they are installed.
        shipped: A folder of packages that are there without being installed; an installed one of the same name wins.
    """

    def __init__(self, path: Path, shipped: Path | None = None) -> None:
        self.path, self._shipped = path, shipped

    def installed(self) -> list[str]:
        """Return the installed models' names, sorted."""
        return sorted(_packages(self.path))

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted(self.packages())

    def packages(self) -> dict[str, Path]:
        """Return all models' packages by name."""
        shipped = _packages(self._shipped) if self._shipped is not None else {}
        return {**shipped, **_packages(self.path)}

    def default(self) -> str | None:
        """Return the default model: the one chosen, else the only one installed, else the only one that is shipped."""
        names, installed = self.names(), self.installed()
        chosen = self.path / _DEFAULT
        if chosen.is_file():
            name = chosen.read_text(encoding="utf-8").strip()
            return name if name in names else None
        candidates = installed or names
        return candidates[0] if len(candidates) == 1 else None

    def set_default(self, name: str) -> None:
        """Make an installed model the default.

        Raises:
            ConfigError: If it is not installed.
        """
        self.named(name)
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
            return path if path.is_file() or path.suffix == SUFFIX else self.named(model)
        default = self.default()
        if default is None:
            names = self.installed()
            raise ConfigError(
                "--model",
                expected="a model, or a default one",
                found=f"{len(names)} installed ({', '.join(names)}) and no default" if names else "none installed",
                remedy="Name one with -m, or choose with `scnas models default NAME`"
                if names
                else "Make one with scnas export",
            )
        return self.packages()[default]

    def named(self, name: str) -> Path:
        """Return the package of an installed model's name, which is never taken for a path.

        Raises:
            ConfigError: If there is none of that name.
        """
        files = self.packages()
        if name not in files:
            raise ConfigError(
                "--model",
                expected=f"an installed model ({', '.join(sorted(files)) or 'none is'}) or a package file",
                found=repr(name),
                remedy="See `scnas models`",
            )
        return files[name]


def _packages(folder: Path) -> dict[str, Path]:
    return {file.name.removesuffix(SUFFIX): file for file in folder.glob(f"*{SUFFIX}") if file.is_file()}
