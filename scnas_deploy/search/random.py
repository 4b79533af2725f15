"""Genotypes drawn at random: what a found genotype must be better than."""

import numpy as np

from scnas_deploy.networks.genotype import (
    NUM_EDGES,
    CellType,
    Operation,
    ScnasArchitecture,
    ScnasCells,
    is_connected,
)
from scnas_deploy.networks.ronasmis_settings import RonasmisArchitecture
from scnas_deploy.search.ronasmis_space import RonasmisSpace
from scnas_deploy.training.seeding import derive_seed


def random_architecture(
    seed: int, stem_channels: int, operations: tuple[Operation, ...] = tuple(Operation)
) -> ScnasArchitecture:
    """Draw each edge's operation uniformly; a cell that would answer nothing is drawn again."""
    rng = np.random.default_rng(derive_seed(seed, "random genotype"))
    cells = {cell_type.value: _random_cell(rng, operations) for cell_type in CellType}
    return ScnasArchitecture(cells=ScnasCells(**cells), stem_channels=stem_channels)


def random_child(seed: int, space: RonasmisSpace) -> RonasmisArchitecture:
    """Draw each of RONASMIS' decisions uniformly."""
    rng = np.random.default_rng(derive_seed(seed, "random child"))
    return space.architecture([int(rng.integers(count)) for count in space.num_options])


def _random_cell(rng: np.random.Generator, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    while True:
        cell = tuple(operations[int(index)] for index in rng.integers(len(operations), size=NUM_EDGES))
        if is_connected(cell):
            return cell
