"""Showing pages in the user's own browser: a server that only this machine reaches, and only who knows the address."""

import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

from scnas_deploy.cli.console import note, say
from scnas_deploy.process import interrupt_flag

Pages = Mapping[str, Callable[[], tuple[str, bytes]]]
"""Path below the page's own address, '' for the page itself -> what makes its content type and its bytes."""

HTML: Final = "text/html; charset=utf-8"
_HOST: Final = "127.0.0.1"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def show(pages: Pages, *, browser: bool) -> None:
    """Serve pages on this machine until Ctrl-C or SIGTERM.

    The address holds a secret, so that nobody else on the machine finds it; it is printed as one line.

    Args:
        pages: What to serve; each is made anew for each request.
        browser: Whether to open the address in the user's browser.
    """
    with interrupt_flag() as interrupted, PageServer(pages) as server:
        threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
        say(server.address)
        sys.stdout.flush()
        note("Press Ctrl-C to end.")
        if browser and not webbrowser.open(server.address):
            note("No browser could be opened: open the address yourself.")
        interrupted.wait()
        server.shutdown()
        note("Ended.")


class PageServer(ThreadingHTTPServer):
    """Serves pages on 127.0.0.1 at a free port.

    Args:
        pages: What to serve.
    """

    daemon_threads = True

    def __init__(self, pages: Pages) -> None:
        super().__init__((_HOST, 0), _Handler)
        self.pages = pages
        self.prefix = f"/{secrets.token_urlsafe(16)}/"

    @property
    def address(self) -> str:
        """Of the page itself."""
        return f"http://{_HOST}:{self.server_port}{self.prefix}"

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  # the library's names
        """Say what went wrong with a page in one line, and nothing of a browser that has gone away."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            note(f"A page could not be made: {' '.join(str(error).split())}")


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version, sys_version = "scnas", ""

    def do_GET(self) -> None:
        # A foreign site whose name is made to point here sends its own name: DNS rebinding.
        if self.headers.get("Host") != f"{_HOST}:{self.server.server_port}":
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        make = self._asked_for()
        if make is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            kind, content = make()
        except Exception:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        self._send(kind, content)

    def _asked_for(self) -> Callable[[], tuple[str, bytes]] | None:
        path, prefix = urlsplit(self.path).path, self.server.prefix
        known = secrets.compare_digest(path[: len(prefix)].encode(), prefix.encode())
        return self.server.pages.get(path[len(prefix) :]) if known else None

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing: the address is a secret, and requests are of no interest."""
