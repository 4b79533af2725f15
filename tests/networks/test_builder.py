"""Built networks: shapes, repeatability, and that the whole chain is connected."""

import pytest
import torch

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.genotype import Operation
from tests.conftest import make_genotype


def build_seeded(genotype, seed=0, **kwargs):
    torch.manual_seed(seed)
    return build(genotype.architecture, **{"in_channels": 2, "num_classes": 3} | kwargs).eval()


def test_logits_have_the_patchs_size_and_one_channel_a_class(varied_genotype):
    network = build_seeded(varied_genotype)
    assert network(torch.randn(2, 2, 24, 32, 40)).shape == (2, 3, 24, 32, 40)


def test_the_same_seed_builds_the_same_network(varied_genotype):
    first, second = build_seeded(varied_genotype), build_seeded(varied_genotype)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    image = torch.randn(1, 2, 24, 24, 24)
    assert torch.equal(first(image), second(image))


@pytest.mark.parametrize("operation", [Operation.CONV, Operation.SEPARABLE_4, Operation.MAX_POOL, Operation.IDENTITY])
def test_every_parameter_is_used(operation):
    network = build_seeded(make_genotype((operation,) * 14)).train()
    network(torch.randn(2, 2, 24, 24, 24)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_cells_take_the_papers_widths(varied_genotype):
    network = build_seeded(varied_genotype)
    levels = [cell.place.level for cell in network.cells]
    assert levels == [1, 1, 2, 2, 3, 3, 2, 2, 1, 1, 0, 0]
    assert [cell.place.node_channels for cell in network.cells] == [2**level for level in levels]


def test_the_decoder_sums_with_the_encoder_of_its_level():
    """Take the deepest cells' answer away: the full resolution still sees the image through the sums."""
    network = build_seeded(make_genotype((Operation.CONV,) * 14))
    image, other = torch.randn(2, 1, 2, 24, 24, 24)
    network.cells[5].register_forward_hook(lambda *_: torch.zeros(1, 32, 3, 3, 3))
    network.cells[4].register_forward_hook(lambda *_: torch.zeros(1, 32, 3, 3, 3))
    assert not torch.allclose(network(image), network(other))
