"""DICOMweb: who we are there, what its refusals mean, and answers of bounded size."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, Final

import requests
from requests.auth import HTTPBasicAuth

from scnas_deploy.errors import ConfigError, RefusedError, UnreachableError
from scnas_deploy.files import reading
from scnas_deploy.serve.dicom.library import silence
from scnas_deploy.serve.dicom.tls import client_context
from scnas_deploy.serve.settings import ClientTls, QidoSource, StowDestination

JSON: Final = "application/dicom+json"

_TIMEOUT_S: Final = (10.0, 600.0)
"""To connect, and between two pieces of an answer."""
_WHOLE_S: Final = 600.0
_PIECE: Final = 256 << 10
_MAX_JSON_BYTES: Final = 64 << 20
_FOR_NOW: Final = {408, 425, 429}


class DicomWeb:
    """A DICOMweb service; use it in a ``with`` block.

    Args:
        side: Where it is, and how we are known there.

    Raises:
        ConfigError: If a password, token or certificate cannot be read.
    """

    def __init__(self, side: StowDestination | QidoSource) -> None:
        silence("urllib3")  # which logs addresses, with what is in them
        self.name, self._root = side.name, side.url.rstrip("/")
        self._session = session = requests.Session()
        session.trust_env = False
        if side.token is not None:
            session.headers["Authorization"] = f"Bearer {_secret(side.token)}"
        elif side.user is not None:
            password = "" if side.password is None else _secret(side.password)
            session.auth = HTTPBasicAuth(side.user.encode(), password.encode())
        session.verify = _authorities()
        if side.tls is not None:
            self._use(side.tls)

    def _use(self, tls: ClientTls) -> None:
        client_context(tls)  # refuses what cannot be used
        if tls.ca is not None:
            self._session.verify = str(tls.ca)
        if tls.certificate is not None:
            self._session.cert = (str(tls.certificate), str(tls.key))

    def __enter__(self) -> "DicomWeb":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def query(self, path: str, **parameters: str | int) -> list[dict[str, Any]]:
        """Search; return the objects found, as DICOM JSON.

        Raises:
            UnreachableError: If it does not answer just now.
            RefusedError: If it will not, or answers with something else.
        """
        with self.asked("GET", path, params=parameters, headers={"Accept": JSON}) as response:
            self.require(response)
            content = self.content(response, _MAX_JSON_BYTES)
        found = parsed(content) if content else []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._refused("something else than DICOM JSON")
        return found

    @contextmanager
    def asked(self, method: str, path: str, **arguments: Any) -> Iterator[requests.Response]:
        """Ask, and keep the connection until the block ends.

        Raises:
            UnreachableError: If it does not answer, or not to the end.
            RefusedError: If it cannot be asked like this.
        """
        try:
            with self._session.request(
                method, self._root + path, stream=True, timeout=_TIMEOUT_S, allow_redirects=False, **arguments
            ) as response:
                yield response
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise UnreachableError(
                self.name,
                expected="an answer",
                found=f"none ({type(error).__name__})",
                remedy="It is tried again; check that it runs, and its certificate",
            ) from error
        except requests.RequestException as error:
            raise self._refused(f"that it cannot be asked ({type(error).__name__})") from error

    def require(self, response: requests.Response, *good: int) -> None:
        """Require an answer of success, or another given.

        Raises:
            UnreachableError: If it is one that may change.
            RefusedError: If it is one that will not.
        """
        status = response.status_code
        if status in (200, 204, *good):
            return
        if status in _FOR_NOW or status >= 500:
            raise UnreachableError(
                self.name, expected="success", found=f"status {status}", remedy="It is tried again later"
            )
        raise self._refused(f"status {status}")

    def content(self, response: requests.Response, max_bytes: int) -> bytes:
        """Read an answer.

        Raises:
            UnreachableError: If it does not come to its end in time.
            RefusedError: If it is larger.
        """
        content, until = bytearray(), time.monotonic() + _WHOLE_S
        for piece in response.iter_content(_PIECE):
            content += piece
            if len(content) > max_bytes:
                raise self._refused(f"an answer of more than {max_bytes} bytes")
            if time.monotonic() > until:
                raise UnreachableError(
                    self.name, expected="an answer in time", found="a slow one", remedy="It is tried again later"
                )
        return bytes(content)

    def _refused(self, found: str) -> RefusedError:
        return RefusedError(
            self.name,
            expected="a DICOMweb service that takes our request",
            found=found,
            remedy="Check url, credentials and rights",
        )


def parsed(content: bytes) -> Any:
    """Return what JSON says; None where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def values(found: Any, tag: str) -> list[Any]:
    """Return an attribute's values, in DICOM JSON of which nothing is certain."""
    element = found.get(tag) if isinstance(found, dict) else None
    listed = element.get("Value") if isinstance(element, dict) else None
    return listed if isinstance(listed, list) else []


def only_part(content: bytes, content_type: str) -> bytes:
    """Return the first part of a multipart answer, or the whole of one that is none."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        return content
    delimiter = b"--" + boundary.encode()
    start = content.find(b"\r\n\r\n", content.find(delimiter))
    end = content.find(b"\r\n" + delimiter, start)
    return content[start + 4 : end] if 0 <= start < end else b""


def _secret(path: Path) -> str:
    try:
        with reading(path):
            return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            path, expected="a file with a password or token", found=type(error).__name__, remedy="Check the file"
        ) from error


def _authorities() -> str | bool:
    """Those that the system trusts, where it keeps them in a file; else those that come with the library."""
    return ssl.get_default_verify_paths().cafile or True
