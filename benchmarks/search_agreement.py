"""Do searches that differ in their seed alone find the same cells?

Compares the architecture parameters of finished or interrupted searches of one dataset, two by two: how many of the 56
edges have the same strongest operation, how many would have by chance given how often each search takes each
operation in each type of cell, and how the preferences correlate, with what all edges of a cell type have in common
left out. An agreement at the level of chance says that only the shares of the operations were found, or nothing.

Does not prove: that what searches agree on is good; compare_architectures.py trains it.
"""

import argparse
import json
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from scnas_deploy.training.checkpoint import load_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of searches, two or more")
    arguments = parser.parse_args()
    if len(arguments.runs) < 2:
        parser.error("expected two run folders or more")
    alphas = {run.name: alpha_of(run) for run in arguments.runs}
    pairs = {f"{a} and {b}": agreement(alphas[a], alphas[b]) for a, b in combinations(alphas, 2)}
    for names, figures in pairs.items():
        print(
            f"{names}: {figures['same']} of {figures['edges']} edges, {figures['by_chance']} by chance, "
            f"correlation within cell types {figures['correlation']:+.2f}"
        )
    print(json.dumps({"pairs": pairs}))


def alpha_of(run: Path) -> Tensor:
    """The architecture parameters as they were last saved, (4 cell types, 14 edges, operations)."""
    alpha = load_checkpoint(run / "checkpoint.safetensors")["task"]["alpha"]
    assert isinstance(alpha, Tensor)
    return alpha.double()


def agreement(first_TEO: Tensor, second_TEO: Tensor) -> dict[str, float]:
    strongest = [alpha_TEO.argmax(dim=-1) for alpha_TEO in (first_TEO, second_TEO)]
    num_types, num_edges, num_operations = first_TEO.shape
    shares = [
        torch.stack([(best_TE == index).double().mean(dim=1) for index in range(num_operations)])
        for best_TE in strongest
    ]
    centred = [_centred(alpha_TEO).flatten() for alpha_TEO in (first_TEO, second_TEO)]
    return {
        "same": int((strongest[0] == strongest[1]).sum()),
        "edges": num_types * num_edges,
        "by_chance": round(float((shares[0] * shares[1]).sum()) * num_edges, 1),
        "correlation": round(float(torch.corrcoef(torch.stack(centred))[0, 1]), 3),
    }


def _centred(alpha_TEO: Tensor) -> Tensor:
    """Without what shifts all operations of an edge, and without what all edges of a type prefer."""
    relative = alpha_TEO - alpha_TEO.mean(dim=-1, keepdim=True)
    return relative - relative.mean(dim=1, keepdim=True)


if __name__ == "__main__":
    main()
