"""From architecture parameters to a genotype."""

from torch import Tensor

from scnas_deploy.networks.genotype import EDGES, NUM_INPUTS, CellType, Operation, ScnasCells, is_connected


def derive_cells(alpha_TEO: Tensor, operations: tuple[Operation, ...]) -> ScnasCells:
    """Take the strongest operation of each edge, zero included (PAPER: SCNAS, section 2).

    Where that would cut a cell off from both of its inputs, which the paper does not foresee, the strongest
    operation other than zero on any edge from an input is taken there.
    """
    cells = {
        cell_type.value: _derive_cell(alpha_EO, operations)
        for cell_type, alpha_EO in zip(CellType, alpha_TEO.detach().cpu(), strict=True)
    }
    return ScnasCells(**cells)


def _derive_cell(alpha_EO: Tensor, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    cell = [operations[int(index)] for index in alpha_EO.argmax(dim=-1)]
    if not is_connected(tuple(cell)):
        from_inputs = [edge for edge, (source, _) in enumerate(EDGES) if source < NUM_INPUTS]
        alive = [index for index, operation in enumerate(operations) if operation is not Operation.ZERO]
        edge, index = max(
            ((edge, index) for edge in from_inputs for index in alive), key=lambda place: float(alpha_EO[place])
        )
        cell[edge] = operations[index]
    return tuple(cell)
