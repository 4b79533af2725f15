"""What a receiver says of the objects it was sent, and what follows from it."""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from scnas_deploy.errors import RefusedError, UnreachableError
from scnas_deploy.serve.work import DeliveryAnswer, ResultFile


class Outcome(Enum):
    """What has become of an object."""

    ACCEPTED = auto()
    LATER = auto()
    """It may be taken when it is sent again."""
    OTHER_KIND = auto()
    """Its kind is not taken."""
    NEVER = auto()


_SUCCESS, _SOP_CLASS_NOT_SUPPORTED = 0x0000, 0x0122
_WARNINGS: Final = {0x0001, 0x0107, 0x0111, 0x0116}
"""PS3.7, annex C; 0111 says that it has the object already, which is what we want."""
_FOR_NOW: Final = {0x0110, 0x0213}
"""A processing failure, and a resource limitation."""


def outcome_of(status: int) -> Outcome:
    """What a status of PS3.7, annex C, or PS3.4, table B.2-1, says of an object."""
    if status == _SUCCESS or status in _WARNINGS or status >> 12 == 0xB:
        return Outcome.ACCEPTED
    if status in _FOR_NOW or status >> 8 == 0xA7:
        return Outcome.LATER
    return Outcome.NEVER


def outcome_of_failure(reason: int) -> Outcome:
    """What a failure reason of PS3.3, C.14, says of an object whose kind has not been negotiated before."""
    return Outcome.OTHER_KIND if reason == _SOP_CLASS_NOT_SUPPORTED else outcome_of(reason)


class Receipts:
    """What a destination has taken of a result, at this attempt and those before it.

    Args:
        names: Of the files that it took before.
        keep: Told all names each time it has taken another.
    """

    def __init__(self, names: Iterable[str] = (), keep: Callable[[tuple[str, ...]], None] = lambda _: None) -> None:
        self.names, self._keep = tuple(names), keep

    def add(self, name: str) -> None:
        """Note that it has taken a file."""
        self.names += (name,)
        self._keep(self.names)


class Tally:
    """The outcomes of a delivery.

    Args:
        name: Of the destination.
        receipts: Of what it has taken; None where this is the first attempt and nobody wants to know.
    """

    def __init__(self, name: str, receipts: Receipts | None) -> None:
        self._name, self._receipts = name, receipts or Receipts()
        self._other_kind: list[str] = []
        self._refused: list[str] = []
        self._later: list[str] = []

    def is_taken(self, file: ResultFile) -> bool:
        """Whether the destination has the file."""
        return file.name in self._receipts.names

    def add(self, file: ResultFile, outcome: Outcome, said: str) -> None:
        """Note what has become of a file."""
        if outcome is Outcome.ACCEPTED:
            self._receipts.add(file.name)
        elif outcome is Outcome.OTHER_KIND:
            self._other_kind.append(file.name)
        else:
            (self._later if outcome is Outcome.LATER else self._refused).append(said)

    def answer(self) -> DeliveryAnswer:
        """Return what was delivered.

        Raises:
            UnreachableError: If some of it is to be sent again later.
            RefusedError: If it refuses some of it for good, or takes nothing of these kinds.
        """
        if self._later:
            raise UnreachableError(
                self._name,
                expected="that it takes all objects",
                found=f"{self._later[0]} for {len(self._later)} of them",
                remedy="They are sent again later",
            )
        if self._refused:
            raise RefusedError(
                self._name,
                expected="that it takes all objects of kinds that it takes",
                found=f"{self._refused[0]} for {len(self._refused)} of them",
                remedy="Look there for its reason, then try again",
            )
        if self._other_kind and not self._receipts.names:
            raise RefusedError(
                self._name,
                expected="a side that takes what is sent to it",
                found="that it takes nothing of it",
                remedy="Choose other formats for it, or have these enabled there",
            )
        return DeliveryAnswer(accepted=self._receipts.names, not_negotiated=tuple(self._other_kind))
