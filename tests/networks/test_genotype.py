"""The genotype is data: it travels as JSON and refuses what describes no network."""

import json

import pytest
from pydantic import ValidationError

from scnas_deploy.errors import FormatError
from scnas_deploy.networks.genotype import (
    EDGES,
    LAYOUT,
    CellType,
    Genotype,
    Operation,
    ScnasCells,
    is_connected,
    load_genotype,
)
from tests.conftest import make_genotype

CONV, ZERO = Operation.CONV, Operation.ZERO


def test_the_chain_and_the_cell_are_the_papers():
    assert len(LAYOUT) == 12
    assert [LAYOUT.count(cell_type) for cell_type in CellType] == [3, 3, 3, 3]
    assert len(EDGES) == 14
    assert EDGES[:5] == ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1))
    assert len(Operation) == 8


def test_a_genotype_comes_back_from_disk_as_it_was(tmp_path, varied_genotype):
    varied_genotype.save(tmp_path / "genotype.json")
    assert load_genotype(tmp_path / "genotype.json") == varied_genotype


def test_the_structure_hash_knows_the_cells_and_not_the_width(varied_genotype):
    architecture = varied_genotype.architecture
    assert architecture.with_stem(32).structure_hash == architecture.structure_hash
    assert make_genotype((CONV,) * 14).architecture.structure_hash != architecture.structure_hash


def test_a_cell_cut_off_from_its_inputs_is_refused():
    between_nodes_only = tuple(CONV if source >= 2 else ZERO for source, _ in EDGES)
    assert not is_connected(between_nodes_only)
    cells = dict.fromkeys((cell_type.value for cell_type in CellType), between_nodes_only)
    with pytest.raises(ValidationError, match="carries its inputs"):
        ScnasCells(**cells)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2"),
        ({"surprise": 1}, "surprise"),
        ({"architecture": {"kind": "scnas", "stem_channels": 10, "cells": {}}}, "stem_channels|cells"),
        ({"architecture": {"kind": "unknown"}}, "kind"),
    ],
)
def test_a_foreign_document_is_refused_with_the_place(tmp_path, varied_genotype, change, message):
    path = tmp_path / "genotype.json"
    document = json.loads(varied_genotype.model_dump_json(by_alias=True)) | change
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=message):
        load_genotype(path)


def test_a_genotype_cannot_be_changed(varied_genotype: Genotype):
    with pytest.raises(ValidationError, match="frozen"):
        varied_genotype.gmacs = 1.0
