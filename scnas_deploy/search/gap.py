"""What the hand-over from supernet to derived network loses, measured once the search has ended.

The retrained network's part is measured after `scnas train`; see `training/gap.py`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from scnas_deploy.networks.genotype import CellType, ScnasCells
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.sampling import CellDraw, EdgeDraw, draw_cell
from scnas_deploy.search.supernet import Supernet
from scnas_deploy.training.report_patches import ReportPatches
from scnas_deploy.training.seeding import torch_generator


def supernet_dice(
    supernet: Supernet, alpha_TEO: Tensor, config: SearchConfig, tau: float, patches: ReportPatches
) -> float | None:
    """Mean foreground Dice of the supernet as its last step ran it.

    Operations are drawn anew for each patch, at the temperature of the last step. The mixture of all operations by
    the softmax of alpha, the other reading of "the supernet", is a network that no step has ever run.
    """

    def network(number: int, image_BCXYZ: Tensor) -> Tensor:
        generator = torch_generator(config.seed, "operations", "report", number)
        draws = {
            cell_type: draw_cell(alpha_EO, tau, config.sampling, generator)
            for cell_type, alpha_EO in zip(CellType, alpha_TEO.detach(), strict=True)
        }
        logits: Tensor = supernet(image_BCXYZ, draws)
        return logits

    return patches.mean_dice(network, _device_of(supernet))


def derived_dice(supernet: Supernet, cells: ScnasCells, config: SearchConfig, patches: ReportPatches) -> float | None:
    """Mean foreground Dice of a genotype that runs with the supernet's own weights, at the supernet's width."""
    draws = draws_of(cells, config)
    return patches.mean_dice(lambda _, image_BCXYZ: supernet(image_BCXYZ, draws), _device_of(supernet))


def draws_of(cells: ScnasCells, config: SearchConfig) -> Mapping[CellType, CellDraw]:
    """The draw that makes the supernet the genotype's network: each edge its one operation."""
    return {
        cell_type: tuple(
            EdgeDraw((config.operations.index(operation),), torch.ones(1)) for operation in cells.of(cell_type)
        )
        for cell_type in CellType
    }


def _device_of(supernet: Supernet) -> torch.device:
    return next(supernet.parameters()).device
