"""The picture shows each living edge of the genotype and nothing else."""

import xml.etree.ElementTree as ElementTree

import pytest

from scnas_deploy.drawing.cells import NAMES, draw_cells, living_edges
from scnas_deploy.errors import ConfigError
from scnas_deploy.networks.genotype import CellType, Operation
from tests.conftest import make_genotype

SVG = "{http://www.w3.org/2000/svg}"


pytestmark = pytest.mark.usefixtures("dot")


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_operation_is_drawn_as_often_as_it_occurs(varied_genotype):
    words = texts(draw_cells(varied_genotype.architecture))
    for operation, name in NAMES.items():
        occurrences = sum(varied_genotype.architecture.cells.of(cell).count(operation) for cell in CellType)
        assert words.count(name) == occurrences
    for cell_type in CellType:
        assert f"{cell_type} cell" in words


def test_a_zero_is_no_edge():
    cell = (Operation.CONV, *(Operation.ZERO,) * 13)
    assert list(living_edges(cell)) == [(0, 0, Operation.CONV)]
    assert texts(draw_cells(make_genotype(cell).architecture)).count("conv 3") == 4


def test_without_the_program_dot_the_error_names_it(varied_genotype, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="apt-get install graphviz"):
        draw_cells(varied_genotype.architecture)
