"""costs.json comes back as it was written, and places are those of the chain."""

import pytest
import torch

from scnas_deploy.errors import FormatError
from scnas_deploy.networks.chain import UChain
from scnas_deploy.networks.costs import cell_levels, load_costs, operation_place, projection_places
from scnas_deploy.networks.genotype import CellType, Operation
from tests.search.costs import made_up_costs


def test_costs_come_back_as_they_were_written(phantom_plan, tmp_path):
    costs = made_up_costs(phantom_plan)
    costs.save(tmp_path / "costs.json")
    assert load_costs(tmp_path / "costs.json") == costs
    assert costs.stems == (16, 32)
    assert costs.engine_name == "openvino"


def test_costs_without_measurements_are_refused(phantom_plan, tmp_path):
    made_up_costs(phantom_plan).model_copy(update={"entries": ()}).save(tmp_path / "costs.json")
    with pytest.raises(FormatError, match="bench --ops"):
        load_costs(tmp_path / "costs.json")


def test_projections_stand_where_the_chain_has_them():
    """Recorded from the chain itself: channels and grid of each projection's input and result."""
    seen = []
    chain = UChain(_Pass, in_channels=1, num_classes=2, stem_channels=8)
    for cell in chain.cells:
        for projection in cell.projections:
            projection.register_forward_hook(
                lambda _, given, result: seen.append((given[0].shape[1:3], result.shape[1:3]))
            )
    chain(torch.zeros(1, 1, 16, 16, 16))
    places = {kind: [projection_places(kind, level, 8) for level in cell_levels(kind)] for kind in CellType}
    for cell_index, cell in enumerate(chain.cells):
        place = places[cell.place.cell_type].pop(0)
        for number in range(2):
            (in_channels, in_size), (channels, size) = seen[2 * cell_index + number]
            expected = place[number]
            assert (in_channels, channels) == (expected.in_channels, expected.node_channels)
            assert (in_size, size) == (16 >> expected.from_level, 16 >> expected.level)


def test_a_strided_operation_reads_one_level_finer():
    place = operation_place(Operation.CONV, 2, 1, 16)
    assert (place.from_level, place.level, place.node_channels) == (0, 1, 8)
    assert place.gmacs((8, 8, 8)) == pytest.approx(27 * 8 * 8 * 4**3 / 1e9)
    assert place.result_bytes((8, 8, 8)) == 4 * 8 * 4**3


class _Pass(torch.nn.Module):
    """A graph whose nodes are its first input; a reduction cell halves it."""

    def __init__(self, place):
        super().__init__()
        self._step = place.edge_stride(0)

    def forward(self, first, second):
        assert first.shape == second.shape
        return torch.cat([first[..., :: self._step, :: self._step, :: self._step]] * 4, dim=1)
