"""triton://HOST:PORT/MODEL: where a network is served."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from scnas_deploy.errors import ConfigError

FORM: Final = "triton://HOST:PORT/MODEL"
_ENCRYPTED: Final = {"triton": False, "tritons": True}


@dataclass(frozen=True, slots=True)
class TritonAddress:
    """Where a model is served."""

    server: str
    """Host and port."""
    model: str
    version: str | None
    """None is any that holds the package's network."""
    encrypted: bool

    @classmethod
    def parse(cls, text: str) -> "TritonAddress":
        """Read triton://HOST:PORT/MODEL[/VERSION]; tritons:// is the same over TLS.

        Raises:
            ConfigError: If the text is no such address.
        """
        try:
            parts = urlsplit(text)
            complete = parts.hostname is not None and parts.port is not None
        except ValueError:  # a port that is no number
            complete = False
        if not complete or parts.scheme not in _ENCRYPTED:
            raise _no_address(text)
        model, *rest = parts.path.removeprefix("/").split("/")
        if not model or len(rest) > 1 or not all(version.isdecimal() for version in rest):
            raise _no_address(text)
        return cls(parts.netloc, model, rest[0] if rest else None, _ENCRYPTED[parts.scheme])


def _no_address(text: str) -> ConfigError:
    return ConfigError(
        "--engine",
        expected=f"{FORM} or {FORM}/VERSION",
        found=repr(text),
        remedy="Name the server's gRPC port, 8001 unless it was changed, and a model that it serves",
    )


def is_triton_address(engine: str) -> bool:
    """Whether the name of an engine is meant as a server's address."""
    return engine.partition("://")[0] in _ENCRYPTED
