"""What every engine is."""

from typing import Protocol, runtime_checkable

from scnas_deploy.inference.manifest import Precision
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


@runtime_checkable
class Engine(Protocol):
    """Computes a network's logits."""

    name: str
    """Engine and version, for instance 'openvino 2026.4.1'."""
    precision: Precision
    """Of the artefact it runs: 'float32', 'float16' or 'int8'. Patches and logits are float32 with all of them."""
    device: str
    """For instance 'CPU'."""
    preferred_batch: int
    """Patches a call that this engine runs best; where only a trial can tell, the most that are worth trying."""
    concurrency: int
    """Calls that it answers at a time, each from a thread of its own."""

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches, float32 to float32.

        Raises:
            EngineError: If the engine cannot compute them.
        """


@runtime_checkable
class Kept(Protocol):
    """An engine that was built, and whose build is kept for the next time."""

    def forget(self) -> None:
        """Remove what is kept, so that it is built again."""


def described(engine: Engine) -> str:
    """An engine's name, with its precision where that is not float32."""
    return engine.name if engine.precision == "float32" else f"{engine.name}, {engine.precision}"
