"""From alpha to cells."""

import math

import pytest
import torch

from scnas_deploy.networks.genotype import EDGES, CellType, Operation
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.search.monitor import mean_entropy

OPERATIONS = tuple(Operation)


def test_the_strongest_operation_of_each_edge_is_taken_zero_included():
    alpha = torch.randn(4, 14, 8, generator=torch.Generator().manual_seed(1))
    cells = derive_cells(alpha, OPERATIONS)
    for number, cell_type in enumerate(CellType):
        assert cells.of(cell_type) == tuple(OPERATIONS[i] for i in alpha[number].argmax(dim=-1))
    assert any(Operation.ZERO in cells.of(cell_type) for cell_type in CellType)


def test_a_cell_of_zeros_keeps_its_strongest_other_operation():
    alpha = torch.zeros(4, 14, 8)
    alpha[..., OPERATIONS.index(Operation.ZERO)] = 5
    strongest = EDGES.index((1, 2))
    alpha[:, strongest, OPERATIONS.index(Operation.MAX_POOL)] = 1
    for cell_type in CellType:
        cell = derive_cells(alpha, OPERATIONS).of(cell_type)
        assert cell[strongest] is Operation.MAX_POOL
        assert cell.count(Operation.ZERO) == 13


def test_a_restricted_space_answers_with_its_own_operations():
    space = (Operation.CONV, Operation.IDENTITY)
    cells = derive_cells(torch.randn(4, 14, 2), space)
    assert set(cells.encoder) <= set(space)


def test_entropy_is_ln_of_the_number_of_operations_when_undecided_and_zero_when_decided():
    assert mean_entropy(torch.zeros(4, 14, 8)) == pytest.approx(math.log(8))
    decided = torch.zeros(4, 14, 8)
    decided[..., 0] = 100
    assert mean_entropy(decided) == pytest.approx(0, abs=1e-6)
