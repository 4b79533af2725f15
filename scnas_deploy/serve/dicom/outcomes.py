"""What a receiver says of the objects it was sent, and what follows from it."""

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


class Tally:
    """The outcomes of a delivery.

    Args:
        name: Of the destination.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._accepted: list[str] = []
        self._other_kind: list[str] = []
        self._refused: list[str] = []

    def add(self, file: ResultFile, outcome: Outcome, said: str) -> None:
        """Note what has become of a file.

        Raises:
            UnreachableError: If all of it is to be sent again later.
        """
        if outcome is Outcome.LATER:
            raise UnreachableError(
                self._name, expected="that it takes an object", found=said, remedy="It is sent again later"
            )
        kinds = {Outcome.ACCEPTED: self._accepted, Outcome.OTHER_KIND: self._other_kind, Outcome.NEVER: self._refused}
        kinds[outcome].append(said if outcome is Outcome.NEVER else file.name)

    def answer(self) -> DeliveryAnswer:
        """Return what was delivered.

        Raises:
            RefusedError: If it refuses some of it for good, or takes nothing of these kinds.
        """
        if self._refused:
            raise RefusedError(
                self._name,
                expected="that it takes all objects of kinds that it takes",
                found=f"{self._refused[0]} for {len(self._refused)} of them",
                remedy="Look there for its reason, then try again",
            )
        if self._other_kind and not self._accepted:
            raise RefusedError(
                self._name,
                expected="a side that takes what is sent to it",
                found="that it takes nothing of it",
                remedy="Choose other formats for it, or have these enabled there",
            )
        return DeliveryAnswer(accepted=tuple(self._accepted), not_negotiated=tuple(self._other_kind))
