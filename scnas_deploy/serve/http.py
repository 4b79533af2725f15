"""An HTTP server that answers whoever keeps it busy: so many connections at a time, each for so long."""

import logging
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from scnas_deploy.errors import ConfigError
from scnas_deploy.serve.logs import event, in_words, logger

_LOG: Final = logger("serve.http")
MAX_CONNECTIONS: Final = 32
_GIVE_WAY_S: Final = 0.5
"""That the oldest connection has to end where a new one comes and all places are taken."""
_ENDED: Final = (ConnectionError, TimeoutError, ssl.SSLError)
"""How connections end that nothing is wrong with here; with TLS, clients that show no certificate too."""


class BoundedServer(ThreadingHTTPServer):
    """Has so many connections at a time, each for so long; one more has the oldest give way.

    Whoever asks is answered even where somebody opens connections and says nothing.

    Args:
        address: Host and port to listen at; port 0 lets the system choose one.
        handler: Answers a connection; it makes no handshake before it is asked to read.
        longest_s: Seconds that a connection lasts, from its first byte to its last.
        tls: How we show ourselves; None speaks in the open.

    Raises:
        ConfigError: If the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        *,
        longest_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.longest_s, self._tls = longest_s, tls
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._since: dict[socket.socket, float] = {}
        self._ended: set[socket.socket] = set()
        """Asked to give way; whoever is busy there notices late."""
        self._thread = threading.Thread(target=self.serve_forever, name="http", daemon=True)
        try:
            super().__init__(address, handler)
        except OSError as error:
            raise ConfigError(
                f"{address[0]}:{address[1]}",
                expected="an address to listen at",
                found=f"one that cannot be had ({error.strerror})",
                remedy="Choose another port, or end who listens there",
            ) from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def get_request(self) -> tuple[Any, Any]:
        """Take a connection; the handshake is left to its own thread, which may be kept waiting."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, or close it."""
        if not self._has_place():
            self.shutdown_request(request)
            return
        with self._lock:
            self._since[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def service_actions(self) -> None:
        """End connections that have lasted too long; called now and then."""
        until = time.monotonic() - self.longest_s
        with self._lock:
            late = [each for each, since in self._since.items() if since < until]
        for each in late:
            _end(each)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # an address comes from outside
        """Say what went wrong, unless it was that a connection ended."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, _ENDED):
            event(_LOG, logging.ERROR, "a page failed", error=in_words(error))

    def _has_place(self) -> bool:
        if self._places.acquire(blocking=False):
            return True
        with self._lock:
            oldest = next((each for each in self._since if each not in self._ended), None)
            if oldest is not None:
                self._ended.add(oldest)
        if oldest is not None:
            _end(oldest)
        return self._places.acquire(timeout=_GIVE_WAY_S)

    def _leave(self, request: Any) -> None:
        with self._lock:
            del self._since[request]
            self._ended.discard(request)
        self._places.release()


def _end(connection: socket.socket) -> None:
    """Have whoever reads or writes there stop; TLS would be taken from under his hands by a shutdown of its own."""
    with suppress(OSError):  # it has ended by itself
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
