"""Health and metrics over HTTP, for whatever keeps the server running and whoever watches it."""

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from scnas_deploy.serve.logs import event, in_words, logger
from scnas_deploy.serve.settings import WebSettings

_LOG: Final = logger("serve.web")
MAX_CONNECTIONS: Final = 32
LONGEST_S: Final = 30.0
"""That a connection lasts, from its first byte to its last."""
_GIVE_WAY_S: Final = 0.5
"""That the oldest connection has to end where a new one comes and all places are taken."""

Health = Callable[[], Mapping[str, str]]
"""What keeps the server from taking work: a word each, with what is the matter; empty where it is ready."""


class WebServer:
    """Answers ``/livez``, ``/readyz`` and ``/metrics``; nothing there names a patient.

    Args:
        settings: Where.
        registry: The figures.
        health: Asked for ``/readyz``.
    """

    def __init__(self, settings: WebSettings, registry: CollectorRegistry, health: Health) -> None:
        class Handler(_Handler):
            pages: Mapping[str, Callable[[], tuple[int, str, bytes]]] = {
                "/livez": lambda: (HTTPStatus.OK, "application/json", b"{}\n"),
                "/readyz": lambda: _readiness(health()),
                "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry)),
            }

        self._server = _BoundedServer((settings.host, settings.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _BoundedServer(ThreadingHTTPServer):
    """Has so many connections at a time, each for so long; one more has the oldest give way.

    Whoever keeps the server running is answered even where somebody opens connections and says nothing.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._since: dict[socket.socket, float] = {}
        super().__init__(address, handler)

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
        until = time.monotonic() - LONGEST_S
        with self._lock:
            late = [each for each, since in self._since.items() if since < until]
        for each in late:
            _end(each)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # an address comes from outside
        """Say what went wrong, unless it was that a connection ended."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            event(_LOG, logging.ERROR, "a page failed", error=in_words(error))

    def _has_place(self) -> bool:
        if self._places.acquire(blocking=False):
            return True
        with self._lock:
            oldest = next(iter(self._since), None)
        if oldest is not None:
            _end(oldest)
        return self._places.acquire(timeout=_GIVE_WAY_S)

    def _leave(self, request: Any) -> None:
        with self._lock:
            del self._since[request]
        self._places.release()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    pages: Mapping[str, Callable[[], tuple[int, str, bytes]]] = {}
    timeout = LONGEST_S
    server_version, sys_version = "scnas", ""

    def do_GET(self) -> None:  # the base class' name
        page = self.pages.get(self.path.partition("?")[0])
        status, kind, content = page() if page else (HTTPStatus.NOT_FOUND, "text/plain", b"no such page\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: paths and agents come from outside."""


def _readiness(troubles: Mapping[str, str]) -> tuple[int, str, bytes]:
    status = HTTPStatus.SERVICE_UNAVAILABLE if troubles else HTTPStatus.OK
    return status, "application/json", json.dumps(dict(troubles)).encode() + b"\n"
