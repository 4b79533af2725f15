"""Is the search deciding anything, and what? Watched epoch by epoch.

Differentiable searches are known to collapse towards identity (Zela et al. 2020, arXiv 1909.09656); the paper does
not say how its own was watched. The limits are ours to choose.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from scnas_deploy.networks.genotype import CellType, Operation

COLLAPSED: Final = 0.5
"""Share of edges from which identity, or zero, counts as a collapse."""

_EDGE_DIGITS: Final = 4
"""Of an edge's probabilities: enough to tell young edges apart, and 4 KB an epoch."""


class Monitor:
    """Follows the strongest operation of each edge.

    Args:
        operations: The space, in the order of alpha's last axis.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = tuple(operations)
        self._strongest: list[int] = []
        self.stable_epochs = 0
        """Epochs in a row that changed no edge's strongest operation."""
        self.warnings: tuple[str, ...] = ()
        """What is wrong with the architecture as it stands."""

    def observe(self, alpha_TEO: Tensor) -> dict[str, Any]:
        """Look at the architecture parameters at the end of an epoch.

        Returns:
            ``entropy`` of the edges' softmax in nats, ``identity_fraction`` and ``zero_fraction`` of the edges,
            ``unchanged_fraction`` of the edges since the epoch before, ``stable_epochs``, ``probability``:
            the mean of each cell type's edges' softmax, by operation, ``edge_probability``: each edge's, its
            operations in the same order, and ``warnings``, where there are any.
        """
        strongest = alpha_TEO.detach().argmax(dim=-1).flatten().tolist()
        probability_TEO = torch.softmax(alpha_TEO.detach().double(), dim=-1)
        unchanged = sum(old == new for old, new in zip(self._strongest, strongest, strict=False)) / len(strongest)
        self.stable_epochs = self.stable_epochs + 1 if unchanged == 1 else 0
        self._strongest = strongest
        shares = {operation: self._share(operation) for operation in (Operation.IDENTITY, Operation.ZERO)}
        self.warnings = tuple(
            f"{operation} is the strongest operation of {share:.0%} of the edges: the search may have collapsed"
            for operation, share in shares.items()
            if share >= COLLAPSED
        )
        return {
            "alpha_entropy": mean_entropy(alpha_TEO),
            "identity_fraction": shares[Operation.IDENTITY],
            "zero_fraction": shares[Operation.ZERO],
            "unchanged_fraction": unchanged,
            "stable_epochs": self.stable_epochs,
            "probability": self._mean_probability(probability_TEO),
            "edge_probability": _edge_probability(probability_TEO),
            **({"warnings": list(self.warnings)} if self.warnings else {}),
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"strongest": self._strongest, "stable_epochs": self.stable_epochs, "warnings": list(self.warnings)}

    def restore(self, state: dict[str, Any]) -> None:
        """Load what :meth:`state` gave."""
        self._strongest, self.stable_epochs = state["strongest"], state["stable_epochs"]
        self.warnings = tuple(state["warnings"])

    def _mean_probability(self, probability_TEO: Tensor) -> dict[str, dict[str, float]]:
        return {
            cell_type.value: {op.value: round(p, 6) for op, p in zip(self._operations, mean_O.tolist(), strict=True)}
            for cell_type, mean_O in zip(CellType, probability_TEO.mean(dim=1), strict=True)
        }

    def _share(self, operation: Operation) -> float:
        if operation not in self._operations:
            return 0.0
        return self._strongest.count(self._operations.index(operation)) / len(self._strongest)


def _edge_probability(probability_TEO: Tensor) -> dict[str, list[list[float]]]:
    return {
        cell_type.value: [[round(p, _EDGE_DIGITS) for p in edge] for edge in probability_EO.tolist()]
        for cell_type, probability_EO in zip(CellType, probability_TEO, strict=True)
    }


def mean_entropy(alpha_TEO: Tensor) -> float:
    """Mean entropy of the edges' softmax in nats; ln(O) is undecided, 0 decided."""
    probability = torch.softmax(alpha_TEO.detach().double(), dim=-1)
    return float(torch.special.entr(probability).sum(-1).mean())
