"""Who may look: whoever shows a token that is known, by HTTP Basic or as a bearer, or came with a certificate."""

import base64
import binascii
import hmac
import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Final

from scnas_deploy.serve.settings import PageSettings
from scnas_deploy.serve.tokens import Tokens

MAX_WRONG: Final = 10
"""Wrong tokens from one address within the time below; more are not even looked at."""
FORGIVEN_AFTER_S: Final = 60.0
_MAX_ADDRESSES: Final = 1000
_LONGEST: Final = 1000
"""Characters of what somebody shows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What becomes of a request at the door."""

    status: HTTPStatus
    """OK where it is let in."""
    name: str = ""
    """Of the token; empty where none is asked for."""


class Door:
    """Lets people in, as the settings say; may be used by several threads.

    Certificates are asked for while the connection is made, tokens with each request. With both, both are needed.

    Args:
        settings: See there.
        clock: Seconds that only grow.

    Raises:
        ConfigError: If the file of tokens cannot be used.
    """

    def __init__(self, settings: PageSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = None if settings.tokens is None or settings.insecure else Tokens(settings.tokens)
        self._names = frozenset({"localhost", *settings.names}) if settings.insecure else None
        self._wrong = WrongTokens(clock)

    def judge(self, headers: Message, address: str) -> Entry:
        """Say whether a request is let in.

        Args:
            headers: Of the request.
            address: Where it comes from.
        """
        if self._names is not None and not _is_called(headers.get("Host", ""), self._names):
            return Entry(HTTPStatus.MISDIRECTED_REQUEST)  # a page of somebody else, whose name leads to us
        if self._tokens is None:
            return Entry(HTTPStatus.OK)
        shown = headers.get("Authorization")
        if shown is None:
            return Entry(HTTPStatus.UNAUTHORIZED)
        if self._wrong.are_too_many(address):
            return Entry(HTTPStatus.TOO_MANY_REQUESTS)
        name = _name_of(shown, self._tokens)
        if name is None:
            self._wrong.add(address)
            return Entry(HTTPStatus.UNAUTHORIZED)
        return Entry(HTTPStatus.OK, name)


class WrongTokens:
    """How often an address has lately shown a token that nobody knows; the addresses that did so last are kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def add(self, address: str) -> None:
        """Note one more."""
        with self._lock:
            times = self._times.pop(address, deque(maxlen=MAX_WRONG))
            times.append(self._clock())
            self._times[address] = times
            if len(self._times) > _MAX_ADDRESSES:
                del self._times[next(iter(self._times))]

    def are_too_many(self, address: str) -> bool:
        """Whether nothing more is looked at for now."""
        with self._lock:
            times = self._times.get(address)
            return times is not None and len(times) == MAX_WRONG and times[0] > self._clock() - FORGIVEN_AFTER_S


def _name_of(shown: str, tokens: Tokens) -> str | None:
    scheme, _, value = shown.strip().partition(" ")
    if len(value) > _LONGEST:
        return None
    if scheme.lower() == "bearer":
        return tokens.name_of(value.strip())
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    name = tokens.name_of(password)
    return name if name is not None and hmac.compare_digest(name.encode(), user.encode()) else None


def _is_called(host: str, names: frozenset[str]) -> bool:
    """Whether a browser has come by an address or a name of ours; names of others may lead anywhere."""
    called = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].lower()
    try:
        ipaddress.ip_address(called)
    except ValueError:
        return called in names
    return True
