"""Choosing series: which of a study's serve the model's channels, and why the others do not.

The plan states for each channel what a series' attributes must say. A series is taken where it alone meets that, forms
a regular grid, and has the extent and spacing that the model was made for. Where several do, none is taken unless
named: a guess between two would be a mask of the wrong images, sooner or later.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scnas_deploy.data.dicom.attributes import text
from scnas_deploy.data.dicom.reading import LPS_TO_RAS, Judged, judge
from scnas_deploy.data.dicom.scan import Scan, Series
from scnas_deploy.data.dicom.verdicts import Correction, VerdictError
from scnas_deploy.data.limits import geometry_violations
from scnas_deploy.data.plan import Channel, Plan, SeriesRule
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ChoiceError, ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesChoice:
    """How series are chosen, beyond the plan's rules."""

    named: tuple[str, ...] = ()
    """For each channel, the series that is to serve it: its UID or its number. Empty: choose by the rules."""
    allow: tuple[Correction, ...] = ()
    """Corrections that may be made."""
    force: bool = False
    """Take also a series whose grid leaves the model's limits."""


BY_RULES: Final = SeriesChoice()


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A series of the study, and what speaks against it."""

    number: int
    """Where it stands among the study's series, from 1; as stable as the study."""
    series: Series
    judged: Judged
    unlike: tuple[str, ...]
    """In what its grid leaves the model's limits."""
    missed: tuple[tuple[str, ...], ...]
    """For each channel, the rules that it does not meet, in words."""

    def against(self, channel: int) -> tuple[str, ...]:
        """Why it cannot serve a channel; empty where it can."""
        return (*self.missed[channel], *(verdict.found for verdict in self.judged.refused), *self.unlike)


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """What was chosen, and all that it was chosen among."""

    channels: tuple[Channel, ...]
    candidates: tuple[Candidate, ...]
    taken: tuple[Candidate | None, ...]
    """For each channel; None where none or several could serve it."""

    def why(self, candidate: Candidate) -> str:
        """Why a series was taken or left, in a sentence that identifies nobody."""
        served = [name.name for name, taken in zip(self.channels, self.taken, strict=True) if taken is candidate]
        if served:
            return f"taken for {', '.join(served)}"
        reasons = [candidate.against(index) for index in range(len(self.channels))]
        if not all(reasons):
            return "left: it could serve, and so could another; name one with --series"
        least = min(reasons, key=len)
        return f"left: {'; '.join(least)}"


def choose(scan: Scan, plan: Plan, how: SeriesChoice = BY_RULES) -> Choice:
    """Choose series for a plan's channels.

    Args:
        scan: The study.
        plan: Of the model.
        how: What else the choice depends on.

    Raises:
        ConfigError: If a name is no series of the study, or there is not one for each channel.
    """
    candidates = tuple(_candidate(number, series, plan, how) for number, series in enumerate(scan.series, start=1))
    if how.named:
        return Choice(plan.channels, candidates, tuple(_named(how.named, candidates, len(plan.channels))))
    taken = tuple(_only([each for each in candidates if not each.against(k)]) for k in range(len(plan.channels)))
    return Choice(plan.channels, candidates, taken)


def require_complete(choice: Choice) -> tuple[Candidate, ...]:
    """Return the series of all channels.

    Raises:
        VerdictError: If the one series that could serve a channel, or was named for it, is no regular grid.
        ChoiceError: If none or several series could serve one.
    """
    taken = tuple(_required(choice, index) for index in range(len(choice.channels)))
    if len({each.number for each in taken}) < len(taken):
        raise ChoiceError(
            "study",
            expected="a series of its own for each channel",
            found=f"series {', '.join(str(each.number) for each in taken)}",
            remedy="Make the model's rules tell them apart (scnas models amend), or name them with --series",
        )
    return taken


def _required(choice: Choice, channel: int) -> Candidate:
    taken = choice.taken[channel]
    if taken is not None:
        if taken.judged.refused:
            raise VerdictError(f"series {taken.number}", taken.judged.refused)
        return taken
    fitting = [each for each in choice.candidates if not each.missed[channel]]
    if len(fitting) == 1 and fitting[0].judged.refused:
        raise VerdictError(f"series {fitting[0].number}", fitting[0].judged.refused)
    able = [each.number for each in choice.candidates if not each.against(channel)]
    name = choice.channels[channel].name
    if able:
        raise ChoiceError(
            "study",
            expected=f"one series for channel '{name}'",
            found=f"{len(able)} that could serve it: numbers {', '.join(map(str, able))}",
            remedy="Look at them with --explain and name one with --series",
        )
    raise ChoiceError(
        "study",
        expected=f"a series for channel '{name}'",
        found=f"none among {len(choice.candidates)} series of images",
        remedy="See with --explain what stands against each",
    )


def _candidate(number: int, series: Series, plan: Plan, how: SeriesChoice) -> Candidate:
    judged = judge(series, how.allow)
    missed = tuple(tuple(_missed(series.header, channel.select)) for channel in plan.channels)
    return Candidate(number, series, judged, () if how.force else _unlike(judged, plan), missed)


def _missed(header: Any, rules: Sequence[SeriesRule]) -> Iterator[str]:
    for rule in rules:
        if not re.search(rule.matches, text(header, rule.attribute), re.IGNORECASE):
            yield f"{rule.attribute} does not match '{rule.matches}'"


def _unlike(judged: Judged, plan: Plan) -> tuple[str, ...]:
    stack = judged.stack
    if stack is None:
        return ()
    columns, rows = stack.planes[0].instance.shape
    empty = np.broadcast_to(np.zeros((), dtype=np.int16), (1, columns, rows, len(stack.planes)))
    return geometry_violations(Volume(data=empty, affine_ras=LPS_TO_RAS @ stack.affine_lps()), plan)


def _only(candidates: Sequence[Candidate]) -> Candidate | None:
    return candidates[0] if len(candidates) == 1 else None


def _named(names: Sequence[str], candidates: Sequence[Candidate], num_channels: int) -> Iterator[Candidate]:
    if len(names) != num_channels:
        raise ConfigError(
            "--series",
            expected=f"one series for each of {num_channels} channel(s)",
            found=str(len(names)),
            remedy="Name them in the model's order of channels",
        )
    by_name = {name: each for each in candidates for name in (str(each.number), each.series.uid)}
    for name in names:
        if name not in by_name:
            raise ConfigError(
                "--series",
                expected=f"a number from 1 to {len(candidates)}, or a series instance UID of the study",
                found=repr(name),
                remedy="See the numbers with --explain",
            )
        yield by_name[name]
