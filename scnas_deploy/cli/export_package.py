"""scnas export PACKAGE: what can be made of a package alone. Imports no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say

if TYPE_CHECKING:
    from scnas_deploy.inference.manifest import Precision
    from scnas_deploy.inference.tensorrt.preparation import PreparedEngine


@dataclass(frozen=True, kw_only=True, slots=True)
class TritonRequest:
    """The options of --triton."""

    folder: Path
    """The model repository."""
    name: str | None = None
    """Of the model on the server; None takes the package's."""
    precision: str | None = None
    """Which of the package's networks; None is float32."""


def write_triton(package: Path, request: TritonRequest, engines: Sequence["PreparedEngine"] = ()) -> None:
    """Put a package's network into a Triton model repository: as the engine that was built of it, if there is one."""
    from scnas_deploy.inference.triton_config import Serving
    from scnas_deploy.inference.triton_repository import write_repository

    precision = cast("Precision", request.precision or "float32")  # another one is none of the package's, and refused
    serving = Serving(name=request.name, precision=precision)
    engine = next((each for each in engines if each.precision == precision), None)
    plan = None if engine is None else engine.plan
    written = write_repository(request.folder, options.open_trusted(package), serving, plan=plan)
    place = f"version {written.version} of model {written.name} in {request.folder}"
    if not written.added:
        say(f"Left as it is: {place} holds this network already")
        return
    if engine is not None:
        say(f"It is an engine for {engine.gpu}: its server must have that, and {engine.name}.")
    say(f"Wrote {place}.")
    say(f"Next: tritonserver --model-repository {request.folder}")
    say(f"Then: scnas segment STUDY.nii.gz -m {package} --engine triton://HOST:8001/{written.name}")
