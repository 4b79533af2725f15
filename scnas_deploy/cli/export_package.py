"""scnas export PACKAGE: what can be made of a package alone. Imports no PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say

if TYPE_CHECKING:
    from scnas_deploy.inference.manifest import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class TritonRequest:
    """The options of --triton."""

    folder: Path
    """The model repository."""
    name: str | None = None
    """Of the model on the server; None takes the package's."""
    precision: str | None = None
    """Which of the package's networks; None is float32."""


def write_triton(package: Path, request: TritonRequest) -> None:
    """Put a package's network into a Triton model repository."""
    from scnas_deploy.inference.triton_config import Serving
    from scnas_deploy.inference.triton_repository import write_repository

    precision = cast("Precision", request.precision or "float32")  # another one is none of the package's, and refused
    serving = Serving(name=request.name, precision=precision)
    written = write_repository(request.folder, options.open_trusted(package), serving)
    place = f"version {written.version} of model {written.name} in {request.folder}"
    if not written.added:
        say(f"Left as it is: {place} holds this network already")
        return
    say(f"Wrote {place}. Next: tritonserver --model-repository {request.folder}")
    say(f"Then: scnas segment STUDY.nii.gz -m {package} --engine triton://HOST:8001/{written.name}")
