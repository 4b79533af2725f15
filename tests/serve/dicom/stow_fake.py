"""A STOW-RS service that answers as a test says: a real one refuses, and is overloaded, when it likes."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.serve.dicom.certificates import Pair


class FakeStow:
    """Answers requests one after another as they are listed, the last one again and again; use it in a ``with`` block.

    Args:
        answers: Status, and the failure reason that it gives for the object, if any.
        certificate: None for plain HTTP.
        client_ca: Whose certificates it asks for.
    """

    def __init__(self, *answers: tuple[int, int | None], certificate: Pair | None = None, client_ca=None) -> None:
        self.answers, self.requests = list(answers), []
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            if client_ca is not None:
                context.load_verify_locations(client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    def __enter__(self) -> "FakeStow":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeStow

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.fake.requests.append((self.path, dict(self.headers), body))
        answers = self.fake.answers
        status, reason = answers.pop(0) if len(answers) > 1 else answers[0]
        failed = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}
        content = b"" if reason is None else json.dumps([failed]).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
