"""Weights travel whole: each once, none missing, none foreign."""

import pytest
import torch

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.genotype import PlainConvUNetArchitecture, UResNetArchitecture
from scnas_deploy.networks.weights import load_weights, weights_of


@pytest.mark.parametrize(
    "architecture", [UResNetArchitecture(stem_channels=4), PlainConvUNetArchitecture(stem_channels=4)]
)
def test_a_network_with_loaded_weights_answers_the_same(architecture):
    first, second = (build(architecture, in_channels=1, num_classes=2).eval() for _ in range(2))
    image = torch.randn(1, 1, 16, 16, 16)
    assert not torch.equal(first(image), second(image))
    load_weights(second, weights_of(first))
    assert torch.equal(first(image), second(image))
    assert not any(isinstance(name, str) and name for name, _ in first.named_buffers())


def test_no_tensor_is_there_twice():
    weights = weights_of(build(PlainConvUNetArchitecture(stem_channels=4), in_channels=1, num_classes=2))
    assert len({tensor.data_ptr() for tensor in weights.values()}) == len(weights)


def test_another_networks_weights_are_refused():
    network = build(UResNetArchitecture(stem_channels=4), in_channels=1, num_classes=2)
    weights = weights_of(network)
    missing = dict(list(weights.items())[1:])
    with pytest.raises(RuntimeError, match=r"1 weights are missing or foreign, the first is stem\.conv\.weight"):
        load_weights(network, missing)
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_weights(build(UResNetArchitecture(stem_channels=8), in_channels=1, num_classes=2), weights)
