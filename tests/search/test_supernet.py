"""The supernet executes what was drawn, and nothing else."""

import pytest
import torch

from scnas_deploy.networks.builder import build
from scnas_deploy.networks.cells import FixedGraph
from scnas_deploy.networks.genotype import EDGES, CellType, Operation
from scnas_deploy.search.sampling import EdgeDraw, draw_cell
from scnas_deploy.search.supernet import Supernet
from tests.conftest import make_genotype

OPERATIONS = tuple(Operation)


@pytest.fixture
def supernet():
    torch.manual_seed(0)
    return Supernet(OPERATIONS, in_channels=1, num_classes=3, stem_channels=4)


def draws_of(sampling, seed=0, alpha=None):
    generator = torch.Generator().manual_seed(seed)
    alpha = torch.zeros(4, 14, 8) if alpha is None else alpha
    return {cell: draw_cell(edges, 1.0, sampling, generator) for cell, edges in zip(CellType, alpha, strict=True)}


def count_runs(supernet, draws):
    """How often each operation of each edge of each cell ran."""
    runs = {}
    handles = [
        operation.register_forward_hook(
            lambda *_, key=(cell_number, edge, index): runs.update({key: runs.get(key, 0) + 1})
        )
        for cell_number, cell in enumerate(supernet.chain.cells)
        for edge, operations in enumerate(cell.graph.edges)
        for index, operation in enumerate(operations)
    ]
    supernet(torch.randn(1, 1, 24, 24, 24), draws)
    for handle in handles:
        handle.remove()
    return runs


def test_only_the_drawn_operations_are_executed_each_once(supernet):
    draws = draws_of("two")
    zero = OPERATIONS.index(Operation.ZERO)
    expected = {
        (number, edge, index)
        for number, cell in enumerate(supernet.chain.cells)
        for edge, draw in enumerate(draws[cell.place.cell_type])
        for index in draw.operations
        if index != zero
    }
    runs = count_runs(supernet, draws)
    assert set(runs) == expected
    assert set(runs.values()) == {1}


def test_full_executes_all_but_zero(supernet):
    assert len(count_runs(supernet, draws_of("full"))) == 12 * 14 * 7


def test_one_operation_an_edge_equals_the_built_network(supernet):
    """The hand-off from search to network: a supernet that draws a genotype computes that genotype's network."""
    genotype = make_genotype(tuple(OPERATIONS[(3 * edge) % 8] for edge in range(14)))
    draws = {
        cell_type: tuple(
            EdgeDraw((OPERATIONS.index(operation),), torch.ones(1))
            for operation in genotype.architecture.cells.of(cell_type)
        )
        for cell_type in CellType
    }
    network = build(genotype.architecture, in_channels=1, num_classes=3)
    copy_weights(supernet, network, genotype)
    image = torch.randn(2, 1, 24, 24, 24)
    torch.testing.assert_close(supernet(image, draws), network(image), rtol=1e-4, atol=1e-4)


def copy_weights(supernet, network, genotype):
    network.stem.load_state_dict(supernet.chain.stem.state_dict())
    network.head.load_state_dict(supernet.chain.head.state_dict())
    for mixed, fixed in zip(supernet.chain.cells, network.cells, strict=True):
        fixed.projections.load_state_dict(mixed.projections.state_dict())
        copy_graph(mixed.graph, fixed.graph, genotype.architecture.cells.of(mixed.place.cell_type))


def copy_graph(mixed, fixed: FixedGraph, cell):
    for edge, (operation, (source, node)) in enumerate(zip(cell, EDGES, strict=True)):
        source_module, fan = mixed.edges[edge][OPERATIONS.index(operation)], fixed.fans[source]
        if operation is Operation.CONV:
            width = source_module.conv.out_channels
            part = slice(fan.conv_nodes.index(node) * width, (fan.conv_nodes.index(node) + 1) * width)
            fan.conv.conv.weight.data[part] = source_module.conv.weight.data
        elif node in fan.separable_nodes:
            fan.separable[fan.separable_nodes.index(node)].load_state_dict(source_module.state_dict())


def test_the_weights_step_mixes_with_the_same_weights_as_the_architecture_step(supernet):
    image, alpha = torch.randn(1, 1, 24, 24, 24), torch.randn(4, 14, 8)
    fixed = supernet(image, draws_of("two", alpha=alpha))
    learned = supernet(image, draws_of("two", alpha=alpha.clone().requires_grad_()))
    torch.testing.assert_close(fixed, learned, rtol=1e-5, atol=1e-5)
    halved = {
        cell: tuple(EdgeDraw(edge.operations, edge.weights / 2) for edge in draw)
        for cell, draw in draws_of("two", alpha=alpha).items()
    }
    assert not torch.allclose(fixed, supernet(image, halved), rtol=1e-2, atol=1e-2)


def test_alpha_gets_a_gradient_where_two_operations_were_drawn(supernet):
    alpha = torch.zeros(4, 14, 8).requires_grad_()
    draws = draws_of("two", alpha=alpha)
    supernet(torch.randn(1, 1, 24, 24, 24), draws).square().mean().backward()
    zero = OPERATIONS.index(Operation.ZERO)
    for number, cell_type in enumerate(CellType):
        for edge, draw in enumerate(draws[cell_type]):
            has_gradient = bool(alpha.grad[number, edge].any())
            if draw.is_single:
                assert not has_gradient
            elif zero not in draw.operations:
                assert has_gradient


def test_all_edges_drawing_zero_still_give_an_answer(supernet):
    zero = EdgeDraw((OPERATIONS.index(Operation.ZERO),), torch.ones(1))
    logits = supernet(torch.randn(1, 1, 24, 24, 24), dict.fromkeys(CellType, (zero,) * 14))
    assert logits.shape == (1, 3, 24, 24, 24)
    assert torch.isfinite(logits).all()


def test_checkpointing_changes_no_bit_and_keeps_less(supernet):
    """Loss and gradients of weights and alpha; of what the cells save for the backward pass, nothing is kept."""
    image, alpha = torch.randn(1, 1, 24, 24, 24), torch.randn(4, 14, 8)

    def run(checkpointing):
        supernet.chain.checkpointing = checkpointing
        given = alpha.clone().requires_grad_()
        kept = {}

        def keep(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = supernet(image, draws_of("two", alpha=given)).square().mean()
        parameters = [given, *supernet.parameters()]
        return loss, torch.autograd.grad(loss, parameters, allow_unused=True), sum(kept.values())

    loss, gradients, num_bytes = run(checkpointing=False)
    same_loss, same_gradients, fewer_bytes = run(checkpointing=True)
    assert torch.equal(loss, same_loss)
    assert sum(gradient is not None for gradient in gradients) > 100
    for gradient, same in zip(gradients, same_gradients, strict=True):
        assert (gradient is None and same is None) or torch.equal(gradient, same)
    assert fewer_bytes < num_bytes / 2


def test_without_gradients_checkpointing_has_nothing_to_do(supernet):
    draws = draws_of("two")
    supernet.chain.checkpointing = True
    with torch.no_grad():
        assert torch.isfinite(supernet(torch.randn(1, 1, 24, 24, 24), draws)).all()
