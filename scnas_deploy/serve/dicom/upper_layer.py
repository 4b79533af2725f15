"""pynetdicom's upper layer, made fit for a port that anybody may connect to.

As the library has it, whoever connects can hold up everybody by a TLS handshake that never ends, announce 4 GB and have
them kept, send objects without end or several at a time, stop in the middle of one for ever, leave threads waiting, and
open files until no connection can be looked at any more.

Here every one of these has a bound. What is replaced are parts of one association each: the class says which.
"""

import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from socketserver import BaseServer
from typing import Any, Final

from scnas_deploy.serve.dicom.buffers import BoundedBuffer, Budget
from scnas_deploy.serve.dicom.library import pynetdicom
from scnas_deploy.serve.logs import event, in_words, logger

pynetdicom()  # set up before any of its parts is used

from pynetdicom import evt  # noqa: E402
from pynetdicom.association import Association  # noqa: E402
from pynetdicom.dimse import DIMSEServiceProvider  # noqa: E402
from pynetdicom.dimse_messages import DIMSEMessage  # noqa: E402
from pynetdicom.fsm import StateMachine  # noqa: E402
from pynetdicom.pdu_primitives import P_DATA  # noqa: E402
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer  # noqa: E402

NETWORK_S: Final = 60.0
"""For one PDU to come whole, and for the next to begin."""
MAX_PDU_BYTES: Final = 128 << 10
"""What we ask senders to keep to."""

_LOG: Final = logger("serve.dicom")
_TOLERATED_PDU_BYTES: Final = 1 << 20
_COMMAND_BYTES: Final = 64 << 10
_PIECE: Final = 64 << 10
_OBJECTS: Final = 2
"""Of the largest size that may be in memory at a time, whatever the number of associations."""
_WAITING: Final = 1
"""Messages of one association that may wait to be handled; by the standard none does, unless it was negotiated."""
_INVALID: Final = "Evt19"
"""Event of an invalid PDU (PS3.8, 9.2): the association is aborted."""
_CLOSED: Final = "Evt17"
"""Event of a connection that is closed."""


class BoundedMessages(DIMSEServiceProvider):
    """Puts messages together, each of bounded size, and takes no more while others wait.

    Args:
        association: Whose.
        max_bytes: Of one message's data set.
        budget: Of all associations' data sets.
    """

    def __init__(self, association: Association, max_bytes: int, budget: Budget) -> None:
        super().__init__(association)
        self._max_bytes, self._budget = max_bytes, budget

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a part of a message; one that is none ends the association."""
        if self.msg_queue.qsize() >= _WAITING:
            self.dul.event_queue.put(_INVALID)
            return
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.encoded_command_set = BoundedBuffer(_COMMAND_BYTES)
            self.message.data_set = BoundedBuffer(self._max_bytes, self._budget)
        try:
            super().receive_primitive(primitive)
        except Exception:  # noqa: BLE001  # of what is no message the library raises what comes
            self.dul.event_queue.put(_INVALID)


class ForgivingMachine(StateMachine):
    """Ends its association, and not with a traceback, at what the standard's table of states does not know."""

    def do_action(self, event: str) -> None:
        """Go to the next state."""
        try:
            super().do_action(event)
        except Exception:  # noqa: BLE001  # the library raises what comes
            self.dul.kill_dul()
            if self.dul.socket is not None:
                self.dul.socket.close()
            wake(self.dul.assoc)


def make_robust(association: Association) -> None:
    """Have an association, before it begins, end by itself at nonsense, and with the process."""
    association.dul.state_machine = ForgivingMachine(association.dul)
    association.dul.daemon = True


def wake(association: Association) -> None:
    """End the waiting for a request that cannot come any more."""
    if association.requestor.primitive is None:
        association.dul.to_user_queue.put(None)  # as where the time is over


class ClosingSocket(AssociationSocket):
    """Closes its connection also where the other side has done so before."""

    def _shutdown_socket(self) -> None:
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()


class BoundedSocket(ClosingSocket):
    """Reads PDUs of bounded length in bounded time, however many files the process has open."""

    @property
    def ready(self) -> bool:
        """Whether there is something to be read; the library asks select, which knows no descriptor from 1024 on."""
        if self.socket is None or not self._is_connected:
            return False
        try:
            if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                return True
            poll = select.poll()
            poll.register(self.socket, select.POLLIN)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            self.event_queue.put(_CLOSED)
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or as many as come before the other side closes.

        Raises:
            OSError: If they are too many, or take too long.
        """
        if nr_bytes > _TOLERATED_PDU_BYTES:
            raise OSError("a PDU that is too long")
        received, until = bytearray(), time.monotonic() + NETWORK_S
        while self.socket is not None and len(received) < nr_bytes:
            piece = self.socket.recv(min(_PIECE, nr_bytes - len(received)))
            if not piece:
                break
            received += piece
            if time.monotonic() > until:
                raise TimeoutError("a PDU that takes too long")
        return received


class BoundedHandler(RequestHandler):
    """Begins an association on a connection."""

    server: "Listener"

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dimse = BoundedMessages(association, self.server.max_object_bytes, self.server.budget)
        make_robust(association)
        association.dul.event_queue.get_nowait()  # that there is a connection, which the next line says again
        association.dul.socket = BoundedSocket(association, self.request)
        association.bind(evt.EVT_CONN_CLOSE, lambda closed: wake(closed.assoc))
        return association


class Listener(ThreadedAssociationServer):
    """Takes connections of those it knows; each has a thread of its own from its first byte on, TLS included.

    Args:
        application: The application entity.
        address: Host and port.
        contexts: What it takes.
        tls: None for none.
        handlers: Of the association's events.
        is_known: Whether somebody may connect from an address.
        refused: Told why a connection was refused, and from where it came.
        max_connections: At a time, those that ask for no association included; as many more may be beginning.
        max_object_bytes: Of one object; those on their way in may have a few times as many together.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        application: Any,
        address: tuple[str, int],
        contexts: list[Any],
        tls: ssl.SSLContext | None,
        handlers: list[Any],
        *,
        is_known: Callable[[str], bool],
        refused: Callable[[str, str], None],
        max_connections: int,
        max_object_bytes: int,
    ) -> None:
        self._is_known, self._refused = is_known, refused
        self._max_connections, self.max_object_bytes = max_connections, max_object_bytes
        self._beginning = threading.Semaphore(max_connections)
        self.budget = Budget(_OBJECTS * max_object_bytes)
        title = application.ae_title
        super().__init__(application, address, title, contexts, tls, handlers, request_handler=BoundedHandler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection, without its TLS handshake, which could hold up the next one."""
        assert self.socket is not None
        return self.socket.accept()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  # as the library calls it
        """Whether to go on with a connection."""
        if not self._is_known(client_address[0]):
            self._refused("address", client_address[0])
            return False
        are_many = len(self.active_associations) >= self._max_connections
        if are_many or not self._beginning.acquire(blocking=False):
            self._refused("too many", client_address[0])
            return False
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Begin an association."""
        try:
            request.settimeout(NETWORK_S)
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.ssl_context:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001  # whatever it is, others are to be served
            words = {"remote": client_address[0], "error": in_words(error)}
            event(_LOG, logging.WARNING, "a connection that came to nothing", **words)
            self.shutdown_request(request)
        finally:
            self._beginning.release()

    def shutdown(self) -> None:
        """Take no more connections; the associations there are go on."""
        BaseServer.shutdown(self)
        self.server_close()
