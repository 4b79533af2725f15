"""Costs that nobody measured, for tests: every part takes a time of its own."""

from scnas_deploy.export.op_costs import places
from scnas_deploy.networks.costs import CostEntry, Costs


def made_up_costs(plan, stems=(16, 32), engine="openvino 0.0") -> Costs:
    shape = {"in_channels": len(plan.channels), "num_classes": plan.num_classes, "patch_size": plan.patch_size}
    entries = [
        CostEntry(place=place, milliseconds=milliseconds(place, number), gmacs=0.0, bytes=0)
        for stem in stems
        for number, place in enumerate(places(stem))
    ]
    return Costs(engine=engine, device="CPU", processor="none", num_threads=1, **shape, entries=tuple(entries))


def milliseconds(place, number: int) -> float:
    """Wider costs more, a skeleton most; otherwise all differ."""
    if place.part == "skeleton":
        return 20.0 * place.in_channels
    return place.node_channels * place.count**0.5 * (1 + number % 7 / 7) / 8**place.level / 10
