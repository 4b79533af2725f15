"""Where results go."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from scnas_deploy.serve.dicom.c_store import CStoreSender
from scnas_deploy.serve.dicom.outcomes import Receipts
from scnas_deploy.serve.dicom.stow import StowSender
from scnas_deploy.serve.settings import Destination, DicomDestination
from scnas_deploy.serve.work import DeliveryAnswer, ResultFile


class Sender(Protocol):
    """Brings results to one destination."""

    def send(
        self, files: Sequence[tuple[ResultFile, Path]], check: Callable[[], None], receipts: Receipts | None = None
    ) -> DeliveryAnswer:
        """Send DICOM files, one that is not taken now no less than those after it.

        What the destination has already is no error, so that they may be sent again.

        Args:
            files: What they are, and where.
            check: Called between two of them; raises where the sending is to end.
            receipts: Of those that were taken before, which are not sent again; told of each that is taken.

        Raises:
            UnreachableError: If the destination does not answer, lets us not in, or asks to come again later.
            RefusedError: If it will never take one of them, or none of these kinds.
            ConfigError: If a certificate or password cannot be read.
        """


def open_destination(destination: Destination, our_ae_title: str) -> Sender:
    """Return the sender for a destination."""
    if isinstance(destination, DicomDestination):
        return CStoreSender(destination, our_ae_title)
    return StowSender(destination)
