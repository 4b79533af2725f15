"""What every engine is."""

from typing import Protocol, runtime_checkable

from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


@runtime_checkable
class Engine(Protocol):
    """Computes a network's logits; one instance serves one thread."""

    name: str
    """Engine and version, for instance 'openvino 2026.4.1'."""
    precision: str
    """'float32' here; half and 8-bit precisions are artefacts of their own."""
    device: str
    """For instance 'CPU'."""
    preferred_batch: int
    """Patches a call that this engine runs best."""

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches, float32 to float32.

        Raises:
            EngineError: If the engine cannot compute them.
        """
