"""Serving the page: who is let in, what may be asked for, and which headers go with every answer."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ssl import SSLSocket
from typing import Any, Final

from scnas_deploy.errors import LedgerError
from scnas_deploy.serve.dicom.tls import server_context
from scnas_deploy.serve.http import BoundedServer
from scnas_deploy.serve.logs import event, in_words, logger
from scnas_deploy.serve.page.answers import Answer, said
from scnas_deploy.serve.page.door import FORGIVEN_AFTER_S, Door, Entry
from scnas_deploy.serve.settings import PageSettings

_LOG: Final = logger("serve.page")
LONGEST_S: Final = 600.0
"""That a connection lasts, from its first byte to its last: a study in the viewer may be large, and its way long."""
_SILENT_S: Final = 30.0
"""That one side waits for the other's next byte."""
_AT_ONCE: Final = 2**20
"""Bytes that are written at once; a socket's patience is for all of a call."""
_ALLOWED: Final = ("Allow", "GET, HEAD")
# no Strict-Transport-Security: it would bind every port of the host name, a PACS beside us too
_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_REFUSALS: Final[dict[HTTPStatus, tuple[str, str, tuple[tuple[str, str], ...]]]] = {
    HTTPStatus.UNAUTHORIZED: (
        "Who are you?",
        "This page is shown to those who have a token: its name as the user, the token as the password.",
        (("WWW-Authenticate", 'Basic realm="scnas", charset="UTF-8"'),),
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "Too many wrong tokens",
        "From this address several tokens came that nobody knows. Wait a minute, then try again.",
        (("Retry-After", f"{FORGIVEN_AFTER_S:.0f}"),),
    ),
    HTTPStatus.FORBIDDEN: (
        "Asked for by another site",
        "A page of somebody else asks for this one. Open it by its own address.",
        (),
    ),
    HTTPStatus.MISDIRECTED_REQUEST: (
        "Not by this name",
        "Call the page by its address, or add the name to those in the server's settings.",
        (),
    ),
}

Route = Callable[[str, str], Answer]
"""Answers a path with its query, asked for by somebody of a name."""


class PageServer:
    """The page on a port of its own.

    Args:
        settings: Where, and who is let in.
        route: Answers what may be asked for.
        on_refusal: Told the status of each request that is refused at the door.

    Raises:
        ConfigError: If the address cannot be had, or tokens or certificates cannot be used.
    """

    def __init__(
        self, settings: PageSettings, route: Route, on_refusal: Callable[[str], None] = lambda _: None
    ) -> None:
        door = Door(settings)
        tls = None if settings.tls is None else server_context(settings.tls)

        class Handler(_Handler):
            def judge(self) -> Entry:
                entry = door.judge(self.headers, self.client_address[0], _certified(self.connection))
                if entry.status is not HTTPStatus.OK:
                    on_refusal(entry.status.name.lower())
                return entry

            def route(self, name: str) -> Answer:
                return route(self.path, name)

        self._server = BoundedServer((settings.host, settings.port), Handler, longest_s=LONGEST_S, tls=tls)

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


def _certified(connection: Any) -> str:
    """Common name of the certificate that a client has shown; empty without one."""
    shown: Any = connection.getpeercert() if isinstance(connection, SSLSocket) else None
    subject = (shown or {}).get("subject", ())
    return next((value for part in subject for key, value in part if key == "commonName"), "")


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENT_S
    server_version, sys_version = "scnas", ""

    def judge(self) -> Entry:
        raise NotImplementedError

    def route(self, name: str) -> Answer:
        raise NotImplementedError

    def setup(self) -> None:
        super().setup()
        if isinstance(self.connection, SSLSocket):
            self.connection.do_handshake()

    def do_GET(self) -> None:  # the base class' name
        self._send(self._answer(), with_content=True)

    def do_HEAD(self) -> None:  # the base class' name
        self._send(self._answer(), with_content=False)

    def _answer(self) -> Answer:
        entry = self.judge()
        if entry.status is not HTTPStatus.OK:
            heading, text, headers = _REFUSALS[entry.status]
            return said(entry.status, heading, text, *headers)
        try:
            return self.route(entry.name)
        except LedgerError as error:
            return said(HTTPStatus.SERVICE_UNAVAILABLE, "The ledger does not answer", error.redacted)
        except Exception as error:  # noqa: BLE001  # what it says of its values may name a patient
            event(_LOG, logging.ERROR, "a page failed", error=in_words(error))
            return said(HTTPStatus.INTERNAL_SERVER_ERROR, "This page failed", "The server's log says more.")

    def _send(self, answer: Answer, *, with_content: bool) -> None:
        try:
            self._write(answer, with_content=with_content)
        finally:
            answer.after()

    def _write(self, answer: Answer, *, with_content: bool) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content)))
        self.send_header("Content-Security-Policy", answer.policy)
        for name, value in (*_HEADERS, *answer.headers):
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(answer.content) if with_content else 0, _AT_ONCE):
            self.wfile.write(answer.content[start : start + _AT_ONCE])

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what is no request of ours, without repeating anything of it."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            text = "Nothing can be changed here: pages can be looked at, and that is all."
            answer = said(HTTPStatus.METHOD_NOT_ALLOWED, "Only looking", text, _ALLOWED)
        else:
            answer = said(HTTPStatus(code), "Not understood", "This is no request that the page understands.")
        self._send(answer, with_content=getattr(self, "command", None) != "HEAD")

    def log_message(self, *_: Any) -> None:
        """Say nothing: paths and agents come from outside."""
