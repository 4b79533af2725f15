"""Associations that we ask for: with a receiver of results, or an archive that is queried."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from scnas_deploy.errors import RefusedError, UnreachableError
from scnas_deploy.serve.dicom.tls import client_context
from scnas_deploy.serve.dicom.upper_layer import MAX_PDU_BYTES, NETWORK_S, BoundedSocket, make_robust
from scnas_deploy.serve.settings import DicomDestination, FindSource

from pynetdicom import AE, evt  # isort: skip  # after what sets it up
from pynetdicom.association import Association  # isort: skip

_CONNECT_S: Final = 10.0
_ASSOCIATE_S: Final = 30.0
_REJECTED_PERMANENT: Final = 0x01


@contextmanager
def associated(
    side: DicomDestination | FindSource, our_ae_title: str, contexts: Sequence[Any], *, answer_s: float
) -> Iterator[Association]:
    """Associate with another side until the block ends.

    Args:
        side: Where it is.
        our_ae_title: Who we are.
        contexts: Presentation contexts that we propose.
        answer_s: Seconds that it has for each answer.

    Raises:
        UnreachableError: If it does not answer, or has too much to do.
        RefusedError: If it does not know us, or takes nothing of what we propose.
        ConfigError: If certificates cannot be used.
    """
    application = _Application(ae_title=our_ae_title)
    application.connection_timeout, application.acse_timeout = _CONNECT_S, _ASSOCIATE_S
    application.dimse_timeout, application.network_timeout = answer_s, NETWORK_S
    tls = None if side.tls is None else (client_context(side.tls), side.host)
    try:
        association = application.associate(
            side.host,
            side.port,
            list(contexts),
            ae_title=side.ae_title,
            max_pdu=MAX_PDU_BYTES,
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, _on_open)],
        )
    except OSError as error:
        raise unreachable(side.name, f"none ({type(error).__name__})") from error
    if not association.is_established:
        raise _why_not(side.name, association)
    try:
        yield association
        association.release()
    finally:
        if association.is_established:
            association.abort()


def unreachable(name: str, found: str) -> UnreachableError:
    """Return the error of another side that does not answer just now."""
    return UnreachableError(
        name, expected="an answer", found=found, remedy="It is tried again; check that it runs and can be reached"
    )


def _why_not(name: str, association: Association) -> UnreachableError | RefusedError:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None and answer.result == _REJECTED_PERMANENT:
        return RefusedError(
            name,
            expected="an association",
            found=f"that it was rejected for good ({answer.reason_str.lower()})",
            remedy="Have both AE titles and our address entered there, then try again",
        )
    if association.rejected_contexts and not association.accepted_contexts:
        return RefusedError(
            name,
            expected="a side that takes what is proposed to it",
            found="that it takes nothing of it",
            remedy="Choose other formats for it, or have these enabled there",
        )
    return unreachable(name, "that the association was rejected for now" if association.is_rejected else "none")


class _Application(AE):
    def _create_socket(self, association: Association, address: Any, tls: Any) -> BoundedSocket:
        make_robust(association)
        connection = BoundedSocket(association, address=address)
        connection.tls_args = tls
        return connection


def _on_open(opened: Any) -> None:
    """No waiting for more to send, and no waiting for ever."""
    connection = opened.assoc.dul.socket.socket
    connection.settimeout(NETWORK_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
