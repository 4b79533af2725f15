"""Costs are counted right, and in the unit they are named after."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.complexity import count, fit_width
from scnas_deploy.networks.genotype import NUM_EDGES, Operation, UResNetArchitecture
from tests.conftest import make_genotype

FOUR_DENSE = tuple(Operation.CONV if edge in (0, 3, 6, 9) else Operation.SEPARABLE_2 for edge in range(NUM_EDGES))


def flops(architecture, in_channels, num_classes, size):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(architecture, in_channels=in_channels, num_classes=num_classes)(torch.empty(1, in_channels, *size))
    return counter.get_total_flops()


def test_scnas_at_68_channels_on_128_cubed_agrees_with_pytorchs_counter():
    """Kim et al. 2019 report 424.76 G; ARCHITECTURE.md states this figure beside it."""
    architecture = make_genotype(FOUR_DENSE, stem_channels=68).architecture
    cost = count(architecture, in_channels=4, num_classes=4, patch_size=(128, 128, 128))
    assert cost.gmacs == pytest.approx(flops(architecture, 4, 4, (128, 128, 128)) / 2e9, rel=0.01)
    assert cost.gmacs == pytest.approx(458.02, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_any_genotype_agrees_with_pytorchs_counter(seed):
    operations = list(Operation)
    cell = tuple(operations[(seed + 3 * edge) % len(operations)] for edge in range(NUM_EDGES))
    architecture = make_genotype(cell, stem_channels=16).architecture
    cost = count(architecture, in_channels=1, num_classes=3, patch_size=(40, 56, 40))
    assert cost.gmacs == pytest.approx(flops(architecture, 1, 3, (40, 56, 40)) / 2e9, rel=0.01)


def test_parameters_and_activations_are_those_of_the_real_network(varied_genotype):
    cost = count(varied_genotype.architecture, in_channels=1, num_classes=2, patch_size=(24, 24, 24))
    network = build(varied_genotype.architecture, in_channels=1, num_classes=2)
    assert cost.num_parameters == sum(parameter.numel() for parameter in network.parameters())
    outputs = []
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _m, _i, output: outputs.append(output.nbytes))
    network(torch.zeros(1, 1, 24, 24, 24))
    assert cost.activation_bytes == sum(outputs)


@pytest.mark.parametrize(("kind", "gmacs"), [("scnas", 0.05), ("scnas", 1.0), ("u_resnet", 19.1)])
def test_the_fitted_width_comes_nearest_to_the_target(varied_genotype, kind, gmacs):
    shape = {"in_channels": 1, "num_classes": 3, "patch_size": (40, 56, 40)}
    architecture = varied_genotype.architecture if kind == "scnas" else UResNetArchitecture()
    fitted = fit_width(architecture, gmacs, **shape)
    distances = {
        width: abs(count(fitted.with_stem(width), **shape).gmacs - gmacs)
        for width in (fitted.stem_channels - 4, fitted.stem_channels, fitted.stem_channels + 4)
        if width > 0
    }
    assert min(distances, key=distances.get) == fitted.stem_channels
