"""triton://HOST:PORT/MODEL: where a network is served."""

import re
from dataclasses import dataclass
from typing import Final

from scnas_deploy.errors import ConfigError

FORM: Final = "triton://HOST:PORT/MODEL"
_ADDRESS: Final = re.compile(r"(tritons?)://([^/@?#\s]+:\d{1,5})/([^/?#\s]+)(?:/(\d+))?")


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
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise ConfigError(
                "--engine",
                expected=f"{FORM} or {FORM}/VERSION",
                found=repr(text),
                remedy="Name the server's gRPC port, 8001 unless it was changed, and a model that it serves",
            )
        scheme, server, model, version = found.groups()
        return cls(server, model, version, encrypted=scheme == "tritons")


def is_triton_address(engine: str) -> bool:
    """Whether the name of an engine is meant as a server's address."""
    return engine.startswith(("triton://", "tritons://"))
