"""PyTorch as the reference engine: the one module of the deployment half that imports it."""

import torch
from torch import nn
from torch.backends import cudnn

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


class TorchEngine:
    """Runs a network in eager PyTorch, float32, channels last.

    On a GPU convolutions stay in float32 too: TF32, which PyTorch lets cuDNN take, rounds factors to 10 bits, which is
    no reference. Matrix products are left alone, of which PyTorch computes none in TF32 unless it is told to.

    Args:
        network: Ready to evaluate.
    """

    precision: Precision = "float32"
    preferred_batch = 1
    concurrency = 1

    def __init__(self, network: nn.Module) -> None:
        self.name = f"pytorch {torch.__version__}"
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.device = self._device.type.upper()
        self._network = network.eval().to(self._device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches."""
        patches = torch.from_numpy(patches_BCXYZ)
        try:
            patches = patches.to(self._device, memory_format=torch.channels_last_3d)
            with cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False):
                logits: LogitsBKXYZ = self._network(patches).float().cpu().contiguous().numpy()
        except RuntimeError as error:  # out of memory included
            raise EngineError(
                self.name,
                expected="patches the model can take",
                found=str(error).splitlines()[0][:200],
                remedy="Check the plan's channels and patch size, and the memory",
            ) from error
        return logits
