"""Delivering results by C-STORE."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from scnas_deploy.errors import FormatError
from scnas_deploy.serve.dicom.associations import associated, unreachable
from scnas_deploy.serve.dicom.library import pynetdicom
from scnas_deploy.serve.dicom.outcomes import Outcome, Receipts, Tally, outcome_of
from scnas_deploy.serve.settings import DicomDestination
from scnas_deploy.serve.work import DeliveryAnswer, ResultFile

_IMPLICIT: Final = "1.2.840.10008.1.2"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_ANSWER_S: Final = 120.0
"""For an object to be taken."""


class CStoreSender:
    """Sends results to one destination.

    Args:
        destination: See there.
        our_ae_title: Who we are.
    """

    def __init__(self, destination: DicomDestination, our_ae_title: str) -> None:
        self._destination, self._our_ae_title = destination, our_ae_title

    def send(
        self, files: Sequence[tuple[ResultFile, Path]], check: Callable[[], None], receipts: Receipts | None = None
    ) -> DeliveryAnswer:
        """Send files over one association; see :class:`~scnas_deploy.serve.dicom.destinations.Sender`."""
        offered = [(file, path, _syntax(path)) for file, path in files]
        build, kinds = pynetdicom().build_context, {(file.sop_class, syntax) for file, _, syntax in offered}
        wanted = sorted({(kind, each) for kind, syntax in kinds for each in _proposed(syntax)})
        contexts = [build(kind, syntax) for kind, syntax in wanted]
        name, tally = self._destination.name, Tally(self._destination.name, receipts)
        with associated(self._destination, self._our_ae_title, contexts, answer_s=_ANSWER_S) as association:
            accepted = {(str(each.abstract_syntax), each.transfer_syntax[0]) for each in association.accepted_contexts}
            for file, path, syntax in offered:
                check()
                if tally.is_taken(file):
                    continue
                if (file.sop_class, syntax) in accepted:
                    tally.add(file, *_sent(association, path, name))
                elif (file.sop_class, _IMPLICIT) in accepted:
                    tally.add(file, *_sent(association, _read(path), name))
                else:
                    tally.add(file, Outcome.OTHER_KIND, "")
        return tally.answer()


def _proposed(syntax: str) -> tuple[str, ...]:
    """The transfer syntax that an object has, and the one that everybody knows, where it can be brought into it."""
    return (syntax, _IMPLICIT) if syntax == _EXPLICIT else (syntax,)


def _sent(association: Any, what: Any, name: str) -> tuple[Outcome, str]:
    """Send a file as it is, or a data set in the syntax that was accepted."""
    if not association.is_established:
        raise unreachable(name, "that it ended the association")
    status = association.send_c_store(what).get("Status")
    if status is None:
        raise unreachable(name, "none to an object, or that it ended the association")
    return outcome_of(status), f"status {status:04X}"


def _syntax(path: Path) -> str:
    return str(_library_reads(path, "read_file_meta_info").TransferSyntaxUID)


def _read(path: Path) -> Any:
    return _library_reads(path, "dcmread")


def _library_reads(path: Path, function: str) -> Any:
    from scnas_deploy.data.dicom.library import pydicom

    try:
        return getattr(pydicom().filereader, function)(path)
    except Exception as error:  # noqa: BLE001  # of damaged files the library raises what comes
        kind = type(error).__name__
    raise FormatError(path, expected="a DICOM file of ours", found=kind, remedy="Segment the study again")
