"""A child of the shared weights and the network built of it are one."""

import pytest
import torch

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.genotype import Genotype, Provenance, load_genotype
from scnas_deploy.networks.ronasmis import RonasmisNetwork
from scnas_deploy.networks.ronasmis_settings import SKIPS, RonasmisArchitecture
from scnas_deploy.networks.weights import load_weights, weights_of
from scnas_deploy.search.ronasmis_space import RonasmisSpace

SPACE = RonasmisSpace((32, 32, 32), stem_channels=4)


def child(seed):
    generator = torch.Generator().manual_seed(seed)
    chosen = [int(torch.randint(count, (), generator=generator)) for count in SPACE.num_options]
    return SPACE.architecture(chosen)


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return RonasmisNetwork(SPACE.everything(), in_channels=2, num_classes=3).eval()


@pytest.fixture
def image():
    return torch.randn(2, 2, 16, 24, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("seed", range(8))
@torch.no_grad()
def test_a_built_network_with_a_childs_weights_answers_what_the_child_does(supernet, image, seed):
    architecture = child(seed)
    network = build(architecture, in_channels=2, num_classes=3).eval()
    shared = weights_of(supernet)
    load_weights(network, {name: shared[name] for name in weights_of(network)})
    logits = network(image)
    assert logits.shape == (2, 3, 16, 24, 32)
    assert torch.equal(logits, supernet.run(image, architecture))


@torch.no_grad()
def test_every_choice_but_the_patch_changes_the_answer(supernet, image):
    """Skips are all there and nothing is dropped, so that each change by itself can be seen."""
    base = SPACE.everything()
    changes = [
        *({"strides": strides} for strides in ((2, 1, 2), (2, 2, 1))),
        *({"dilations": dilations} for dilations in ((2, 1, 1), (1, 3, 1), (1, 1, 2))),
        *({"activation": name} for name in ("leaky_relu", "elu")),
        *({"skips": tuple(index != gone for index in range(len(SKIPS)))} for gone in range(len(SKIPS))),
        *({"dropped": tuple(index == gone for index in range(4))} for gone in range(4)),
    ]
    whole = supernet.run(image, base)
    for change in changes:
        other = supernet.run(image, RonasmisArchitecture.model_validate({**base.model_dump(), **change}))
        assert not torch.allclose(whole, other, atol=1e-4), change


def test_what_is_left_out_has_no_weights(supernet):
    few = SPACE.everything().model_copy(update={"skips": (False,) * 6, "dropped": (True,) * 4})
    names = set(weights_of(build(few, in_channels=2, num_classes=3)))
    assert names < set(weights_of(supernet))
    assert not any(name.startswith(("skips", "second")) for name in names)


def test_deep_supervision_sees_every_decoder_stage_at_full_resolution(supernet, image):
    maps = supernet.supervised(image, child(3))
    assert [tuple(logits.shape) for logits in maps] == [(2, 3, 16, 24, 32)] * 3
    torch.testing.assert_close(maps[0], supernet.run(image, child(3)))


def test_the_sum_of_skips_needs_matching_channels_only(supernet, image):
    """A skip from a finer stage is averaged down, one from the same stage is not."""
    network = build(SPACE.everything(), in_channels=2, num_classes=3)
    assert {name: tuple(skip.conv.weight.shape[:2]) for name, skip in network.skips.items()} == {
        f"{encoder}_to_{decoder}": (4 * 2**decoder, 4 * 2**encoder) for encoder, decoder in SKIPS
    }


def test_a_genotype_of_it_is_written_and_read_back(tmp_path):
    genotype = Genotype(architecture=child(5), provenance=Provenance(made_by="a test"))
    genotype.save(tmp_path / "genotype.json")
    assert load_genotype(tmp_path / "genotype.json") == genotype
    assert genotype.architecture.structure_hash == child(5).with_stem(64).structure_hash
    assert genotype.architecture.structure_hash != child(6).structure_hash
