"""scnas export PACKAGE: what can be made of a package alone. Imports no PyTorch."""

from pathlib import Path

from scnas_deploy.cli.console import say


def write_triton(folder: Path, package: Path, name: str | None = None) -> None:
    """Put a package's network into a Triton model repository, under its own name or another."""
    from scnas_deploy.inference.package import open_package
    from scnas_deploy.inference.triton_config import Serving
    from scnas_deploy.inference.triton_repository import write_repository

    written = write_repository(folder, open_package(package), Serving(name=name))
    place = f"version {written.version} of model {written.name} in {folder}"
    if not written.added:
        say(f"Left as it is: {place} holds this network already")
        return
    say(f"Wrote {place}. Next: tritonserver --model-repository {folder}")
    say(f"Then: scnas segment STUDY.nii.gz -m {package} --engine triton://HOST:8001/{written.name}")
