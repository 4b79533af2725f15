"""Which operations a step executes, and with which weights.

Legend: E edges of a cell (14), O operations of the space.

Kim et al. 2019 (arXiv 1906.05956), section 2, Algorithm 1: the architecture parameters are relaxed by the
Gumbel-softmax, Z = softmax((alpha + eps) / tau); per edge two operations are sampled from Z and executed,
their weights rescaled to sum to one. Not executing the others is what saves time and memory.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Sampling = Literal["two", "top2", "one", "full"]
"""How many operations an edge executes in a step.

* ``two``: two independent draws from Z with replacement, the paper's Algorithm 1 as we read it: as tau falls
  and Z turns one-hot the draws coincide, and a duplicate runs once with weight one.
* ``top2``: the two largest of Z, the other reading.
* ``one``: one draw with a straight-through weight of one (GDAS, Dong and Yang 2019).
* ``full``: all operations weighted by Z (DARTS-like), for comparison.
"""


TauSchedule = Literal["linear", "exponential"]
"""How tau falls: 'linear' as in GDAS, or by the same factor each step. The paper does not state it."""


@dataclass(frozen=True, slots=True)
class EdgeDraw:
    """What one edge executes."""

    operations: tuple[int, ...]
    """Indices into the space's operations, without duplicates."""
    weights: Tensor
    """One weight an operation, differentiable with respect to alpha where there are two; they sum to one."""

    @property
    def is_single(self) -> bool:
        """A single operation has weight one and gives alpha no gradient."""
        return len(self.operations) == 1


CellDraw = tuple[EdgeDraw, ...]
"""One draw for each of a cell type's edges."""


def draw_cell(alpha_EO: Tensor, tau: float, sampling: Sampling, generator: torch.Generator) -> CellDraw:
    """Sample the operations of one cell type.

    Args:
        alpha_EO: Architecture parameters of the cell type, on the CPU.
        tau: Temperature of the Gumbel-softmax.
        sampling: How many operations an edge executes.
        generator: CPU generator; the same seed gives the same draws on every machine and rank.
    """
    relaxed_EO = relax(alpha_EO, tau, generator)
    return tuple(_draw_edge(relaxed_O, sampling, generator) for relaxed_O in relaxed_EO)


def relax(alpha_EO: Tensor, tau: float, generator: torch.Generator) -> Tensor:
    """Return Z = softmax((alpha + eps) / tau) with eps ~ Gumbel(0, 1)."""
    uniform = torch.rand(alpha_EO.shape, generator=generator).clamp_(1e-20, 1 - 1e-7)
    gumbel = -torch.log(-torch.log(uniform))
    return torch.softmax((alpha_EO + gumbel) / tau, dim=-1)


def _draw_edge(relaxed_O: Tensor, sampling: Sampling, generator: torch.Generator) -> EdgeDraw:
    if sampling == "full":
        return EdgeDraw(tuple(range(len(relaxed_O))), relaxed_O)
    probability = relaxed_O.detach()
    if sampling == "one":
        index = int(torch.multinomial(probability, 1, generator=generator))
        straight_through = 1 + relaxed_O[index] - relaxed_O[index].detach()
        return EdgeDraw((index,), straight_through[None])
    if sampling == "top2":
        drawn = torch.topk(probability, 2).indices
    else:
        drawn = torch.multinomial(probability, 2, replacement=True, generator=generator)
    indices = tuple(dict.fromkeys(drawn.tolist()))
    chosen = relaxed_O[list(indices)]
    if len(indices) == 1:
        return EdgeDraw(indices, torch.ones_like(chosen).detach())
    return EdgeDraw(indices, chosen / chosen.sum())


def temperature(step: int, num_steps: int, start: float, end: float, schedule: TauSchedule = "linear") -> float:
    """Anneal tau over the search from ``start`` at the first step to ``end`` at the last."""
    done = min(1.0, step / max(1, num_steps - 1))
    return start + (end - start) * done if schedule == "linear" else start * (end / start) ** done
