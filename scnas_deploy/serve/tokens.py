"""Files of tokens, by which clients of gRPC and people with browsers are known."""

import hmac
import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scnas_deploy.errors import ConfigError, ScnasError
from scnas_deploy.files import sha256_of
from scnas_deploy.serve.logs import event, logger

_LOG: Final = logger("serve.tokens")
_LINE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})[ \t]+([0-9a-f]{64})")


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
