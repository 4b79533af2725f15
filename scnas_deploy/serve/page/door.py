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
"""Wrong tokens from one address within the time below; then nobody new is let in from there."""
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
    """Of the token, else of the certificate; empty where neither is asked for."""


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
        self._wrong, self._known = WrongTokens(clock), _KnownVisitors()

    def judge(self, headers: Message, address: str, certified: str = "") -> Entry:
        """Say whether a request is let in.

        Args:
            headers: Of the request.
            address: Where it comes from.
            certified: Name in the certificate that was shown while the connection was made.
        """
        if self._names is not None and not _is_called(headers.get("Host", ""), self._names):
            return Entry(HTTPStatus.MISDIRECTED_REQUEST)  # a page of somebody else, whose name leads to us
        if _is_of_another_site(headers):
            return Entry(HTTPStatus.FORBIDDEN)  # browsers send tokens and certificates with it all the same
        if self._tokens is None:
            return Entry(HTTPStatus.OK, certified)
        shown = headers.get("Authorization")
        if shown is None:
            return Entry(HTTPStatus.UNAUTHORIZED)
        name = _name_of(shown, self._tokens)
        if name is not None and self._known.has(address, name):
            return Entry(HTTPStatus.OK, name)
        if self._wrong.are_too_many(address):
            return Entry(HTTPStatus.TOO_MANY_REQUESTS)
        if name is None:
            self._wrong.add(address)
            return Entry(HTTPStatus.UNAUTHORIZED)
        self._known.add(address, name)
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


class _KnownVisitors:
    """Who was let in lately, and from where: they stay in, whatever others behind the same address show."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], None] = {}

    def add(self, address: str, name: str) -> None:
        with self._lock:
            self._seen[address, name] = None
            if len(self._seen) > _MAX_ADDRESSES:
                del self._seen[next(iter(self._seen))]

    def has(self, address: str, name: str) -> bool:
        with self._lock:
            return (address, name) in self._seen


def _is_of_another_site(headers: Message) -> bool:
    """Whether a page of another site asks for ours as a part of its own; a link that is followed is none."""
    elsewhere = headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
    return elsewhere and headers.get("Sec-Fetch-Dest", "") != "document"


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
