"""Before retraining: the supernet and the genotype it gave, with one set of weights."""

import pytest
import torch

from scnas_deploy.networks.genotype import Operation
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.derivation import derive_cells
from scnas_deploy.search.gap import derived_dice, draws_of, supernet_dice
from scnas_deploy.search.run import search
from scnas_deploy.search.supernet import Supernet
from scnas_deploy.training.checkpoint import load_checkpoint
from scnas_deploy.training.loop import CHECKPOINT
from scnas_deploy.training.prepared import PreparedCases
from scnas_deploy.training.report_patches import ReportPatches

CONFIG = SearchConfig(
    operations=(Operation.CONV, Operation.IDENTITY, Operation.ZERO), stem_channels=4, batch_size=2, num_epochs=1
)


@pytest.fixture(scope="module")
def cases(phantom_dataset, phantom_plan, tmp_path_factory):
    ids = [case.id for case in phantom_dataset.cases]
    return PreparedCases(phantom_dataset, phantom_plan, tmp_path_factory.mktemp("cache")).load(ids)


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return Supernet(CONFIG.operations, in_channels=1, num_classes=3, stem_channels=4)


def test_a_decided_supernet_and_its_genotype_are_one(cases, phantom_plan, supernet):
    """Where alpha leaves no doubt every draw is the derived operation, so that there is no gap."""
    torch.manual_seed(1)
    alpha = 1000.0 * torch.nn.functional.one_hot(torch.randint(0, 3, (4, 14)), 3)
    patches = ReportPatches(cases[8:], phantom_plan)
    cells = derive_cells(alpha, CONFIG.operations)
    drawn = supernet_dice(supernet, alpha, CONFIG, 0.1, patches)
    assert 0 < drawn < 1
    assert drawn == pytest.approx(derived_dice(supernet, cells, CONFIG, patches), abs=1e-6)


def test_a_genotype_draws_its_operations_and_no_others():
    alpha = torch.randn(4, 14, 3, generator=torch.Generator().manual_seed(2))
    cells = derive_cells(alpha, CONFIG.operations)
    for cell_type, draw in draws_of(cells, CONFIG).items():
        assert [CONFIG.operations[edge.operations[0]] for edge in draw] == list(cells.of(cell_type))
        assert all(edge.is_single for edge in draw)


def test_a_search_measures_both_and_they_decide_nothing(cases, phantom_plan, tmp_path):
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    measured, unmeasured = (
        search(CONFIG, phantom_plan, cases[:8], tmp_path / name, fold=0, held_out=held_out)
        for name, held_out in (("with", cases[8:]), ("without", ()))
    )
    provenance = measured.provenance
    assert provenance.report_patches == ReportPatches(cases[8:], phantom_plan).digest()
    assert 0 <= provenance.supernet_dice <= 1
    assert 0 <= provenance.derived_dice <= 1
    assert unmeasured.provenance.derived_dice is None
    assert measured.architecture == unmeasured.architecture
    first, second = (load_checkpoint(tmp_path / name / CHECKPOINT)["task"] for name in ("with", "without"))
    assert torch.equal(first["alpha"], second["alpha"])
    assert set(first["supernet"]) == set(second["supernet"])
    assert all(torch.equal(first["supernet"][name], second["supernet"][name]) for name in first["supernet"])
