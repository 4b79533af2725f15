"""The reference engine computes in float32, whatever PyTorch would let a GPU take."""

import numpy as np
import torch
from torch import nn
from torch.backends import cudnn

from scnas_deploy.inference.engines.pytorch import TorchEngine


class PrecisionSpy(nn.Module):
    """Notes what cuDNN may do while it computes."""

    def forward(self, patches):
        self.seen = (cudnn.enabled, cudnn.allow_tf32, cudnn.conv.fp32_precision == "tf32")
        return patches


def test_convolutions_are_not_left_to_tf32():
    spy, before = PrecisionSpy(), (cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    TorchEngine(spy).run(np.zeros((1, 1, 4, 4, 4), np.float32))
    assert spy.seen == (True, False, False)
    assert (cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic) == before
    assert torch.get_float32_matmul_precision() == "highest"
