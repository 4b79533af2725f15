"""The way from supernet to network in one line."""


def gap_in_words(supernet: float | None, derived: float | None, retrained: float | None = None) -> str:
    """Name the Dice of those stages that have been measured."""
    stages = {
        "supernet": supernet,
        "derived, with its weights": derived,
        "retrained from scratch": retrained,
    }
    known = [f"{stage} {dice:.4f}" for stage, dice in stages.items() if dice is not None]
    return f"Dice on held-out patches: {' -> '.join(known) or 'no foreground in them'}"
