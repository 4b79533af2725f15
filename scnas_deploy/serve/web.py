"""Health and metrics over HTTP, for whatever keeps the server running and whoever watches it."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from scnas_deploy.serve.http import BoundedServer
from scnas_deploy.serve.settings import WebSettings

LONGEST_S: Final = 30.0
"""That a connection lasts, from its first byte to its last."""

Health = Callable[[], Mapping[str, str]]
"""What keeps the server from taking work: a word each, with what is the matter; empty where it is ready."""


class WebServer:
    """Answers ``/livez``, ``/readyz`` and ``/metrics``; nothing there names a patient.

    Args:
        settings: Where.
        registry: The figures.
        health: Asked for ``/readyz``.

    Raises:
        ConfigError: If the address cannot be had.
    """

    def __init__(self, settings: WebSettings, registry: CollectorRegistry, health: Health) -> None:
        class Handler(_Handler):
            pages: Mapping[str, Callable[[], tuple[int, str, bytes]]] = {
                "/livez": lambda: (HTTPStatus.OK, "application/json", b"{}\n"),
                "/readyz": lambda: _readiness(health()),
                "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry)),
            }

        self._server = BoundedServer((settings.host, settings.port), Handler, longest_s=LONGEST_S)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.stop()


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
