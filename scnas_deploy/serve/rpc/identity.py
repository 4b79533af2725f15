"""Who calls: the common name of a client's certificate, or the name of its token."""

import hmac
import logging
import re
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from scnas_deploy.errors import AccessError, ConfigError, ScnasError
from scnas_deploy.files import sha256_of
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.settings import GrpcSettings

_LOG: Final = logger("serve.rpc")
_LINE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})[ \t]+([0-9a-f]{64})")
_BEARER: Final = "bearer "


class Tokens:
    """A file of tokens, read again when it changes; one that cannot be used then changes nothing.

    Args:
        path: Lines ``NAME SHA256-OF-THE-TOKEN``; empty ones and those that begin with # are skipped.

    Raises:
        ConfigError: If it cannot be read or has other lines.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._names = _read(path)

    def name_of(self, token: str) -> str | None:
        """Return whose token it is; takes as long whether it is known or not."""
        self._refresh()
        digest, found = sha256_of(token.encode(errors="replace")), None
        for known, name in self._names.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def _refresh(self) -> None:
        with self._lock:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._names = _read(self._path)
            except ScnasError as error:
                event(
                    _LOG,
                    logging.ERROR,
                    "the tokens were changed and cannot be used; those before stay",
                    error=error.redacted,
                )


class Identities:
    """Lets clients in, as the settings say.

    What is configured is asked for: certificates while the connection is made, tokens with each call. With both, the
    token says who it is.

    Args:
        settings: See there.

    Raises:
        ConfigError: If the file of tokens cannot be used.
    """

    def __init__(self, settings: GrpcSettings) -> None:
        self._tokens = None if settings.tokens is None or settings.insecure else Tokens(settings.tokens)
        self._insecure = settings.insecure

    def check(self, metadata: Iterable[tuple[str, Any]]) -> None:
        """Refuse a call that lacks a token, before anything of it is read.

        Raises:
            AccessError: If one is asked for and it shows none that is known.
        """
        if self._tokens is not None:
            self._of_token(self._tokens, metadata)

    def client_of(self, context: Any) -> str:
        """Return the name of who calls; empty where nobody is asked.

        Raises:
            AccessError: If it shows neither a token nor a certificate that is let in.
        """
        if self._tokens is not None:
            return self._of_token(self._tokens, context.invocation_metadata())
        names = context.auth_context().get("x509_common_name", ())
        name = names[0].decode(errors="replace") if names else ""
        if not name and not self._insecure:
            raise AccessError(
                "the client",
                expected="a certificate with a common name",
                found="none",
                remedy="Have one made by whom the server trusts",
            )
        return name

    @staticmethod
    def _of_token(tokens: Tokens, metadata: Iterable[tuple[str, Any]]) -> str:
        shown = next((value for key, value in metadata if key == "authorization"), None)
        name = None
        if isinstance(shown, str) and shown[: len(_BEARER)].lower() == _BEARER:
            name = tokens.name_of(shown[len(_BEARER) :])
        if name is None:
            raise AccessError(
                "the client",
                expected="a bearer token that is known",
                found="none" if shown is None else "another one",
                remedy="Ask who runs the server for a token",
            )
        return name


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> Mapping[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            path, expected="a file of tokens", found=type(error).__name__, remedy="Check its path and permissions"
        ) from error
    names = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        matched = _LINE.fullmatch(text)
        if matched is None:
            raise ConfigError(
                path,
                expected="lines 'NAME SHA256-OF-THE-TOKEN'",
                found=f"something else in line {number}",
                remedy="Write there what `printf %s TOKEN | sha256sum` prints",
            )
        names[matched[2]] = matched[1]
    return names
